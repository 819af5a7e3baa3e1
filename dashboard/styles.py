"""The two styles, and where the API of each is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Style:
    """One style's API: the service, where its sagas are, and where their list is."""

    name: str
    service: str
    base: str
    list: str


STYLES = {
    each.name: each
    for each in (
        Style("orchestrated", "saga_orchestrator", "/saga", "/saga"),
        Style("choreographed", "saga_choreography", "/saga/choreography", "/saga/choreography/status"),
    )
}

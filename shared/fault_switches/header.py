"""`X-Fault`: the faults of one saga, named on its checkout, kept with the saga and passed on with all that it asks for.

Without `FAULTS=true` the header is ignored. With it, a checkout's header takes an operator's token, where one is set.
"""

from flask import Flask, g, has_request_context, request

from shared.errors import DomainError
from shared.fault_switches.model import Fault, parse
from shared.http.access import Who, require, who_may_ask

HEADER = "X-Fault"


def install(app: Flask) -> None:
    """Have requests bring their saga's faults; raises `InvalidFault`, and `Unauthorized` for whoever may not."""

    @app.before_request
    def bring() -> None:
        told = request.headers.get(HEADER)
        if told is None or request.endpoint is None:
            return
        if who_may_ask(app, request.endpoint) is Who.EVERYBODY:
            require(Who.SERVICES if _is_handed_over() else Who.OPERATORS_OR_SERVICES)
        parse(told)
        g.fault = told


def _is_handed_over() -> bool:
    """Whether a service passes on a checkout that it accepted: then it names the saga."""
    return request.is_json and request.get_json().get("saga_id") is not None


def current_fault() -> str | None:
    """The faults of the saga that the present request is about, as it named them; None without any."""
    return g.get("fault") if has_request_context() else None


def faults_of(text: str | None) -> tuple[Fault, ...]:
    """The faults that a saga is to suffer; none for a text that another version may have known."""
    try:
        return () if text is None else parse(text)
    except DomainError:
        return ()


def headers_of(text: str | None) -> dict[str, str]:
    """The header that passes these faults on."""
    return {} if text is None else {HEADER: text}

"""`docs/reference/sagas.md`: both definitions, as tables and as Mermaid diagrams."""

from collections.abc import Iterator, Sequence

from shared.event_bus import CONTRACT
from tests.reference.definitions import Json, definition_of
from tests.reference.markdown import code, page_of, table

ORCHESTRATED = """\
## Orchestrated

Defined in `saga_orchestrator/orchestrator.py`. The orchestrator sends each action to the step's service, in this
order. When a step is refused, it sends the compensations of all steps that may have run, in reverse order, and last
the `closing` step. Once the **pivot** has succeeded, only an operator turns the saga back.
"""
CHOREOGRAPHED = """\
## Choreographed

Defined in `saga_choreography/choreography.py`, and carried out by the event handlers of each service. A solid arrow
is what the service on it publishes on success, a dotted one what it publishes on refusal. The events with which a
service records that a step was requested of it (`*.requested`) are left out; no service handles them.
[events.md](events.md) has all of them.
"""
STATES = """\
## States

Saga: `pending`, `running`, `completed`, `compensating`, `compensated`, and `stuck`, which is still being tried but
needs a person to look at it. Step: `pending`, `running`, `succeeded`, `failed`, `compensating`, `compensated`,
`skipped`.
"""


def page() -> str:
    """Return the page."""
    orchestrated, choreographed = map(definition_of, ("saga_orchestrator", "saga_choreography"))
    return page_of(
        "Both sagas",
        ORCHESTRATED,
        _steps(orchestrated["steps"]),
        _mermaid(_orchestrated(orchestrated["steps"])),
        CHOREOGRAPHED,
        _steps(choreographed["steps"]),
        _mermaid(_choreographed(choreographed["handlers"])),
        STATES,
    )


def _steps(steps: Sequence[Json]) -> str:
    rows = [
        (
            f"`{each['name']}`",
            each["kind"],
            each["service"],
            f"`{each['action']}`",
            code(filter(None, [each["compensation"]])),
        )
        for each in steps
    ]
    return table(("step", "kind", "service", "action", "compensation"), rows)


def _mermaid(lines: Iterator[str]) -> str:
    return "\n".join(["```mermaid", "flowchart TB", *(f"    {line}" for line in lines), "```"])


def _orchestrated(steps: Sequence[Json]) -> Iterator[str]:
    """Yield two columns: actions downwards, compensations upwards."""
    *forward, closing = steps
    compensated = [each for each in forward if each["compensation"]]
    yield "accepted([accepted]) --> " + " --> ".join(_action(each) for each in forward) + " --> completed([completed])"
    back = " --> ".join(_compensation(each) for each in reversed(compensated))
    yield f"{back} --> {_action(closing)} --> compensated([compensated])"
    for each in compensated:
        yield f"{each['name']} -. refused .-> compensate_{each['name']}"


def _compensation(step: Json) -> str:
    return f'compensate_{step["name"]}["compensate {step["name"]}<br/>{step["compensation"]}"]'


def _action(step: Json) -> str:
    opening, closing = ("{{", "}}") if step["kind"] == "pivot" else ("[", "]")
    return f'{step["name"]}{opening}"{step["name"]}<br/>{step["service"]}: {step["action"]}"{closing}'


def _choreographed(handlers: Sequence[Json]) -> Iterator[str]:
    ends = {entry.name for entry in CONTRACT.values() if entry.ends}
    handled = {each["event"] for each in handlers} | ends
    for name in (each for each in CONTRACT if each in handled and CONTRACT[each].is_fact):
        opening, closing = ("([", "])") if name in ends else ("[", "]")
        yield f'{_id(name)}{opening}"{name}"{closing}'
    for each in handlers:
        for arrow, published in (("-->", each["then"]), ("-.->", each["otherwise"])):
            yield from (
                f"{_id(each['event'])} {arrow}|{each['service']}| {_id(name)}" for name in published if name in handled
            )


def _id(event: str) -> str:
    return event.replace(".", "_")

"""`docs/reference/events.md`: each event type, its publisher, its handlers, and what these publish next."""

from collections.abc import Sequence
from itertools import takewhile

from shared.event_bus import CONTRACT, EXCHANGE
from tests.reference.definitions import Json, definition_of
from tests.reference.markdown import code, page_of, table

INTRODUCTION = f"""\
Events are [CloudEvents](https://cloudevents.io/) 1.0 in binary mode on the RabbitMQ topic exchange `{EXCHANGE}`. The
routing key is the event type, and `subject` is the saga's id. Each service has one durable quorum queue, and a queue
`<service>.dead` for messages that it could not process. `saga_choreography` receives all events except
`saga.resend.requested`. The payloads are in [`asyncapi.json`](../asyncapi.json).

A service handles an event in one local transaction, which also stores the events it publishes next (in the order
given here). "or" separates what it publishes on success from what it publishes on refusal. Both are drawn in
[sagas.md](sagas.md).
"""


def page() -> str:
    """Return the page."""
    handlers = definition_of("saga_choreography")["handlers"]
    rows = [
        (f"`{entry.name}`", _meaning(entry.payload), entry.publisher, _handling(entry.name, entry.ends, handlers))
        for entry in CONTRACT.values()
    ]
    head = ("event", "meaning", "published by", "handled by, and what that service publishes next")
    return page_of("Events", INTRODUCTION, table(head, rows))


def _meaning(payload: type) -> str:
    return (payload.__doc__ or "").splitlines()[0].rstrip(".")


def _handling(event: str, ends: bool, handlers: Sequence[Json]) -> str:
    mine = [each for each in handlers if each["event"] == event]
    if not mine:
        return "*the saga has ended*" if ends else "no service"
    return "; ".join(f"{each['service']}: {_published(each['then'], each['otherwise'])}" for each in mine)


def _published(then: Sequence[str], otherwise: Sequence[str]) -> str:
    """Return the events of both outcomes; those that both begin with are named once."""
    same = [
        first for first, _ in takewhile(lambda pair: pair[0] == pair[1], zip(then, otherwise or then, strict=False))
    ]
    ways = " or ".join(code(each[len(same) :]) for each in (then, otherwise) if len(each) > len(same))
    return ", ".join(filter(None, [code(same), ways])) or "its events of that saga, again"

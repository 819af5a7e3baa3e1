"""A command says the same to its own endpoint as among many: its body, its saga's faults, and its trace."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from shared import telemetry
from shared.http.client import Peer, Reply
from shared.saga.command_batch import CommandIn
from shared.saga.command_client import send_alone, send_together

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@dataclass(frozen=True)
class Command:
    path: str
    body: Mapping[str, Any] | None
    fault: str | None = None
    trace: str | None = None


PLAIN = Command("/orders", {"total": 1})
MARKED = Command("/orders/1/cancel", {}, "create_order:refuse", TRACE)


class Participant(Peer):
    """Records the requests to it."""

    def __init__(self) -> None:
        super().__init__("carrito", "http://127.0.0.1:1", None)
        self.requests: list[tuple[str, str, Any, Mapping[str, str]]] = []

    def request(
        self, method: str, path: str, body: Mapping[str, Any] | None, headers: Mapping[str, str], wait: float = 0
    ) -> Reply:
        assert wait == 0
        self.requests.append((method, path, body, headers))
        return Reply(200, {}, {})


def test_alone_it_has_its_own_endpoint_and_brings_as_headers_what_it_has() -> None:
    participant = Participant()
    for command, method in ((PLAIN, "POST"), (MARKED, "POST"), (Command("/carts/1", None), "GET")):
        send_alone(participant, command, method)
    assert participant.requests == [
        ("POST", "/orders", {"total": 1}, {}),
        ("POST", "/orders/1/cancel", {}, {"X-Fault": "create_order:refuse", "traceparent": TRACE}),
        ("GET", "/carts/1", None, {}),
    ]


def test_many_go_in_one_request_each_with_what_would_be_headers_of_its_own() -> None:
    participant = Participant()
    send_together(participant, [PLAIN, MARKED])
    [(method, path, body, headers)] = participant.requests
    assert (method, path, headers) == ("POST", "/saga-commands", {})
    assert body["commands"][0] == {"path": "/orders", "body": {"total": 1}}
    received = [CommandIn.model_validate(each) for each in body["commands"]]
    assert [(it.path, it.body, it.fault, it.traceparent) for it in received] == [
        (each.path, each.body, each.fault, each.trace) for each in (PLAIN, MARKED)
    ]


def test_a_request_for_many_begins_a_trace_with_a_link_to_that_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    spans: list[tuple[str, str | None, Sequence[str | None]]] = []

    @contextmanager
    def span(name: str, _: str, parent: str | None, links: Sequence[str | None]) -> Iterator[None]:
        spans.append((name, parent, links))
        yield

    monkeypatch.setattr(telemetry, "span", span)
    send_together(Participant(), [PLAIN, MARKED])
    assert spans == [("commands to carrito", telemetry.ROOT, [None, TRACE])]

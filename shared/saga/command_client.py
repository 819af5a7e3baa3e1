"""Sends commands to a participant: one to its own endpoint, many in one `POST /saga-commands`.

The participant answers a command alike both ways; `command_batch.py` has the other end.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from shared import telemetry
from shared.fault_switches.header import headers_of
from shared.http.client import Peer, Reply

BATCH_PATH = "/saga-commands"


class OutgoingCommand(Protocol):
    """A command that is sent to a participant."""

    @property
    def path(self) -> str:
        """The path of its own endpoint."""

    @property
    def body(self) -> Mapping[str, Any] | None:
        """The body that its endpoint takes."""

    @property
    def fault(self) -> str | None:
        """The faults that are to happen to its saga (`X-Fault`), if any."""

    @property
    def trace(self) -> str | None:
        """The context (`traceparent`) of the span that it belongs to, if that is recorded."""


def send_alone(peer: Peer, command: OutgoingCommand, method: str = "POST") -> Reply:
    """Send a command to its own endpoint; raises as `Peer.request`."""
    trace = {} if command.trace is None else {"traceparent": command.trace}
    return peer.request(method, command.path, command.body, {**headers_of(command.fault), **trace})


def send_together(peer: Peer, commands: Sequence[OutgoingCommand]) -> Reply:
    """Send commands in one request, whose span has a link to the trace of each; raises as `Peer.request`.

    `Reply.outcomes` splits the answer.
    """
    body = {"commands": [_in_batch(command) for command in commands]}
    with telemetry.span(f"commands to {peer.name}", "INTERNAL", telemetry.ROOT, [each.trace for each in commands]):
        return peer.post(BATCH_PATH, body)


def _in_batch(command: OutgoingCommand) -> dict[str, Any]:
    """Return the command as one of many; what would be headers of a request of its own are members of it."""
    told = {"fault": command.fault, "traceparent": command.trace}
    return {"path": command.path, "body": command.body, **{name: it for name, it in told.items() if it is not None}}

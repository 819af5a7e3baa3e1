"""A message as it was delivered to a consumer."""

from dataclasses import dataclass
from typing import Any

from shared.event_bus import Event
from shared.fault_switches.injector import Injected


@dataclass
class Delivery:
    """A delivered message that is not acknowledged yet.

    `tries` counts its failures for its own reasons in this process, `held_up` those because of locked rows.
    """

    tag: int
    headers: dict[str, Any]
    content_type: str | None
    body: bytes
    routing_key: str
    event: Event | None = None  # once the message was read
    tries: int = 0
    held_up: int = 0
    lost: bool = False  # with its connection: the broker delivers it again
    injected: Injected | None = None  # the faults that happen to it, once decided
    was_paused: bool = False  # it waited while a fault paused this consumer
    redelivered: bool = False  # the broker's flag, which no publisher can set

    @property
    def given_back(self) -> int:
        """How often it was requeued because the process or connection of its consumer ended.

        A publisher can set any header, so the broker's count is trusted only in a redelivered message, into which the
        broker writes it. RabbitMQ 4 writes no delivery count into a message that was only returned (`basic.nack`), but
        then it writes how often the message was acquired, which is a bound for a count that a publisher forged.
        """
        if not self.redelivered:
            return 0
        counts = [_count(self.headers.get("x-delivery-count", 0))]
        if "x-acquired-count" in self.headers:
            counts.append(_count(self.headers["x-acquired-count"]))
        return min(counts)

    @property
    def suspect(self) -> bool:
        """Whether it may be a poison message. One requeue is no sign: all unacknowledged messages are requeued then."""
        return self.given_back > 1

    @property
    def apart(self) -> bool:
        """Whether it is handled alone, because other messages could fail with it."""
        return self.suspect or self.tries > 0 or self.held_up > 0

    @property
    def known(self) -> Event:
        """The event; raises `ValueError` before the message was read."""
        if self.event is None:
            raise ValueError("not read")
        return self.event


def _count(value: object) -> int:
    return max(0, value) if isinstance(value, int) and not isinstance(value, bool) else 0

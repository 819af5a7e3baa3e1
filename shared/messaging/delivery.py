"""A message as it was delivered to a consumer, and what the broker says about it."""

from dataclasses import dataclass
from typing import Any

from shared.event_bus import Event
from shared.fault_switches.injector import Injected


@dataclass
class Delivery:
    """A message in hand; `tries` counts how often it failed here for its own reasons.

    `held_up` counts how often it failed because somebody else had its rows.
    """

    tag: int
    headers: dict[str, Any]
    content_type: str | None
    body: bytes
    routing_key: str
    event: Event | None = None  # once it was read
    tries: int = 0
    held_up: int = 0
    lost: bool = False  # with its connection: the broker gives it to somebody again
    injected: Injected | None = None  # what happens to it on purpose, once that was decided
    was_paused: bool = False  # it waited for this consumer, which was paused on purpose
    redelivered: bool = False  # as the broker says, outside of the headers

    @property
    def given_back(self) -> int:
        """How often it went back to the queue because the process or connection that had it in hand ended.

        A publisher can write any header, so the broker's count is taken only where the broker must have written it. It
        writes one into what it delivers again, though RabbitMQ 4 none into what was handed back (`basic.nack`) and
        never failed; but then it writes how often the message was taken at all, of which no publisher can make more.
        """
        if not self.redelivered:
            return 0
        counts = [_count(self.headers.get("x-delivery-count", 0))]
        if "x-acquired-count" in self.headers:
            counts.append(_count(self.headers["x-acquired-count"]))
        return min(counts)

    @property
    def doubtful(self) -> bool:
        """Whether it may be what its consumers die of. Once is no sign: everything in hand goes back then."""
        return self.given_back > 1

    @property
    def apart(self) -> bool:
        """Whether it is to be tried alone, since others could fail with it."""
        return self.doubtful or self.tries > 0 or self.held_up > 0

    @property
    def known(self) -> Event:
        """The event; only once it was read."""
        if self.event is None:
            raise ValueError("not read")
        return self.event


def _count(value: object) -> int:
    return max(0, value) if isinstance(value, int) and not isinstance(value, bool) else 0

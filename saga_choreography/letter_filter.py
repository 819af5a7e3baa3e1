"""Which dead letters are to be listed or redelivered; pure."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from shared.event_bus import CONSUMERS
from shared.messaging.dead_letters import Letter


@dataclass(frozen=True, kw_only=True)
class LetterFilter:
    """A letter matches when it matches every field that is not None."""

    event_ids: tuple[str, ...] | None = None
    service: str | None = None
    event: str | None = None
    saga_id: UUID | None = None
    error: str | None = None  # a part of it, in any case
    parked_before: datetime | None = None  # a letter without a time of parking does not match

    @property
    def services(self) -> tuple[str, ...]:
        """The services whose letters can match."""
        return CONSUMERS if self.service is None else (self.service,)

    @property
    def takes_all(self) -> bool:
        """Whether every letter of these services matches."""
        return all(value is None for name, value in self.told.items() if name != "service")

    @property
    def told(self) -> Mapping[str, Any]:
        """The filter as it is stored."""
        return {
            "service": self.service,
            "event_ids": self.event_ids,
            "event": self.event,
            "saga_id": None if self.saga_id is None else str(self.saga_id),
            "error": self.error,
            "parked_before": None if self.parked_before is None else self.parked_before.isoformat(),
        }

    def fits(self, letter: Letter) -> bool:
        """Whether the letter matches."""
        if self.event_ids is not None and letter.event_id not in self.event_ids:
            return False
        if self.event is not None and letter.event != self.event:
            return False
        if self.saga_id is not None and letter.saga_id != self.saga_id:
            return False
        if self.error is not None and self.error.casefold() not in (letter.error or "").casefold():
            return False
        return self.parked_before is None or _is_before(letter.parked_at, self.parked_before)


def _is_before(text: str | None, moment: datetime) -> bool:
    """Whether a text from a message is a time before the moment; the text may be anything."""
    with suppress(ValueError, TypeError):  # not a time, or one without a time zone
        return datetime.fromisoformat(text or "") < moment
    return False

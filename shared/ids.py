"""Ids: UUIDv7, so that they sort by the time they were made, and tell it (RFC 9562, section 5.7)."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from uuid_utils.compat import uuid7

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def new_id() -> UUID:
    """A new, time-ordered id."""
    return uuid7()


def made_at(known: UUID) -> datetime | None:
    """When an id was made, to the millisecond; None for one of another version, which does not tell."""
    if known.version != 7:
        return None
    return _EPOCH + timedelta(milliseconds=known.int >> 80)

"""Ids: UUIDv7, which sort by the time at which they were made, and contain it (RFC 9562, section 5.7)."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from uuid_utils.compat import uuid7

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)


def new_id() -> UUID:
    """Make an id."""
    return uuid7()


def made_at(known: UUID) -> datetime | None:
    """Return when an id was made, to the millisecond.

    None for an id of another version, and for one of a time after the year 9999, since an id may come from anybody.
    """
    milliseconds = known.int >> 80
    if known.version != 7 or milliseconds > _LAST:
        return None
    return _EPOCH + timedelta(milliseconds=milliseconds)

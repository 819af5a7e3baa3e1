"""W3C trace context: the trace of a request, passed on through outboxes and brokers."""

import re
import secrets

_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def valid(header: str | None) -> str | None:
    """Return the header when it is a valid `traceparent`, else None."""
    return header if header is not None and _TRACEPARENT.fullmatch(header) else None


def traceparent(header: str | None) -> str:
    """Return the caller's `traceparent`, or that of a new trace when it is missing or invalid."""
    return valid(header) or f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"

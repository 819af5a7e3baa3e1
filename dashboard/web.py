"""What all pages' answers share."""

from datetime import UTC, datetime

from flask import Response

ID = "Ids of sagas, carts and orders are UUIDs, such as 01a21726-21b8-7353-8000-0123456789ab."
NO_ID = f"That is no id. {ID}"
NO_PAGE = f"There is no page at this address. {ID}"


def now() -> datetime:
    """Return the present time."""
    return datetime.now(UTC)


def html(markup: str, status: int = 200) -> Response:
    """Make an answer with this page."""
    return Response(markup, status, mimetype="text/html")

"""What every page's answer has in common."""

from datetime import UTC, datetime

from flask import Response


def now() -> datetime:
    """The time that pages are made at."""
    return datetime.now(UTC)


def html(markup: str, status: int = 200) -> Response:
    """The answer that is this page."""
    return Response(markup, status, mimetype="text/html")

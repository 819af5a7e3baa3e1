"""The stream of changes over HTTP, for pages that follow what they show."""

import socket
from typing import Any

from flask import Blueprint, Response, abort, request

from dashboard import pages
from dashboard.streams import HEARTBEAT_SECONDS, streams
from dashboard.web import html
from shared.http import browsers

routes = Blueprint("live", __name__)

RETRY_AFTER_SECONDS = 10  # until a browser without a place tries again
# A client that vanished without closing its connection is given up after two unacknowledged heartbeats.
VANISHED_MILLISECONDS = int(2 * HEARTBEAT_SECONDS * 1000)


@routes.get("/live")
def live() -> Response:
    """Send server-sent events after `Last-Event-ID`, or `?after=`; 503 when too many streams are open.

    Pages of other sites get 403: they could not read the events, but would use up the streams.
    """
    if not browsers.is_of_own_page():
        abort(403, "a page of another site gets no stream here")
    client = request.environ.get("gunicorn.socket")
    _give_up_when_vanished(client)  # before the stream is opened, which would have to be closed after an error
    stream = streams().open(request.headers.get("Last-Event-ID") or request.args.get("after", ""))
    if stream is None:
        markup = pages.error_page(503, "Too many viewers", "Pages ask every few seconds instead of being told.")
        answer = html(markup, 503)
        answer.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return answer
    answer = Response(stream.messages(client), mimetype="text/event-stream")
    answer.call_on_close(stream.close)
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["X-Accel-Buffering"] = "no"  # tells nginx not to buffer
    return answer


def _give_up_when_vanished(client: Any) -> None:
    if client is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, VANISHED_MILLISECONDS)

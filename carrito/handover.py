"""Handing a checkout to the service that runs its saga.

The cart's own row is the outbox: it says which saga it waits for and how it is to be paid, in the commit that froze
it. The request that began the checkout delivers it; what is left over (carrito or the other died in between) is
delivered by carrito's worker. Delivering twice does no harm: the saga's id is the key.
"""

import threading
from collections.abc import Mapping
from typing import Any

import structlog

from shared.http_client import Peer, PeerUnavailable, Reply

ANSWER_SECONDS = 5.0  # beside the time that the caller prefers to wait
MOST_WAIT = 30.0
log = structlog.get_logger()


class Handover:
    """The way to the service that runs the sagas."""

    def __init__(self, orchestrator_url: str, places: int) -> None:
        """At most `places` requests wait for their saga's end; it needs carrito's other threads to get there."""
        self._orchestrator = Peer("saga_orchestrator", orchestrator_url, ANSWER_SECONDS)
        self._places = threading.BoundedSemaphore(places)

    def deliver(self, wish: Mapping[str, Any], prefer: str = "") -> Reply | None:
        """What the saga's service answered; None when it wasn't there, and the worker will try again.

        `prefer` is the caller's Prefer header; it is passed on as long as there are places to wait.
        """
        body = {name: value for name, value in wish.items() if name != "saga_pattern"}
        waits = bool(prefer) and self._places.acquire(blocking=False)
        try:
            reply = self._orchestrator.request(
                "POST", "/saga/checkout", body, {"Prefer": prefer} if waits else {}, MOST_WAIT if waits else 0
            )
        except PeerUnavailable as error:
            log.warning("checkout not handed over", saga_id=str(wish["saga_id"]), error=error.detail)
            return None
        finally:
            if waits:
                self._places.release()
        if reply.status >= 400:
            log.warning("checkout not taken", saga_id=str(wish["saga_id"]), status=reply.status)
            return None
        return reply

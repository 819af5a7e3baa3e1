"""Telling the service of a pattern about a checkout.

For an orchestrated one it is what starts the saga. A choreographed saga begins with an event, whoever is there; its
window is told so that the caller finds the saga there at once, so that a preference to wait for the end is honoured,
and so that it is watched: should the saga's first event be lost, it is sent again for a saga that the window knows.

The checkout's row is the outbox: it says what the saga is about, in the commit that froze the cart, and whether the
saga's service has yet to be told, whatever becomes of the cart meanwhile. The request that began the checkout tells it,
as long as there are places for that; for the rest of the orchestrated ones the worker is woken. What is left over
(carrito or the other died in between) is delivered by the worker too, when it is overdue. Delivering twice does no
harm: the saga's id is the key. The message is `CheckoutIn`, the body of both saga services' `POST …/checkout`.
"""

from contextlib import AbstractContextManager

import structlog

from carrito.config import Settings
from carrito.domain import Checkout, CheckoutHandover
from shared.fault_switches.header import headers_of
from shared.http.bulkhead import Bulkhead
from shared.http.client import PEER_FAILED, Peer, Reply
from shared.saga.states import SagaStatus, StepStatus
from shared.saga.views import CheckoutIn

ANSWER_SECONDS = 5.0  # beside the time that the caller prefers to wait
MOST_WAIT = 30.0
TURNED_BACK = frozenset({SagaStatus.COMPENSATING, SagaStatus.COMPENSATED})  # one that is stuck shows it by its steps
log = structlog.get_logger()


class Handover:
    """The ways in to the services of the patterns."""

    def __init__(self, settings: Settings, places: int) -> None:
        """At most `places` requests deliver at once, and wait for their saga's end if they prefer to.

        The others' threads stay free for the sagas, which ask carrito for their steps: two services whose threads
        all wait for each other would wait for ever.
        """
        token = settings.service_token
        self._ways_in = {
            "orchestrated": (
                Peer("saga_orchestrator", settings.orchestrator_url, token, ANSWER_SECONDS),
                "/saga/checkout",
            ),
            "choreographed": (
                Peer("saga_choreography", settings.choreography_url, token, ANSWER_SECONDS),
                "/saga/choreography/checkout",
            ),
        }
        self._bulkhead = Bulkhead("saga_orchestrator", places)

    def place(self) -> AbstractContextManager[bool]:
        """A place to deliver from; False when all are taken."""
        return self._bulkhead.enter_if_free()

    def has_turned_back(self, checkout: Checkout) -> bool:
        """Whether the service that runs the checkout's saga says that it turned back; once it did, it stays so.

        Never for a choreographed one: those that undo its steps are told by events, and ask for nothing. Raises one of
        `PEER_FAILED` when the service does not say.
        """
        if checkout.saga_pattern != "orchestrated":
            return False
        orchestrator, _ = self._ways_in["orchestrated"]
        with self._bulkhead.enter():
            saga = orchestrator.get(f"/saga/{checkout.saga_id}").success_body_if_found()
        if saga is None:
            return False
        undone = {StepStatus.COMPENSATING, StepStatus.COMPENSATED}
        return saga["status"] in TURNED_BACK or any(step["status"] in undone for step in saga["steps"])

    def deliver(self, checkout: CheckoutHandover, prefer: str = "") -> Reply | None:
        """What the saga's service answered; None when it wasn't there, and the worker will try again.

        `prefer` is the caller's Prefer header.
        """
        peer, path = self._ways_in[checkout.saga_pattern]
        message = CheckoutIn.model_construct(**{name: getattr(checkout, name) for name in CheckoutIn.model_fields})
        headers = {"traceparent": checkout.trace, **({"Prefer": prefer} if prefer else {})}
        headers |= headers_of(checkout.fault)
        wait = MOST_WAIT if prefer else 0.0
        try:
            reply = peer.request("POST", path, message.model_dump(), headers, wait)
        except PEER_FAILED as error:
            log.warning("checkout not handed over", saga_id=str(checkout.saga_id), error=error.detail)
            return None
        if reply.status >= 400:
            log.warning("checkout not taken", saga_id=str(checkout.saga_id), status=reply.status)
            return None
        return reply

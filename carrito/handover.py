"""Hands an accepted checkout over to the saga service of its style.

The handover starts an orchestrated saga. A choreographed saga starts with its first event; the handover registers it
with `saga_choreography`, so that a client finds it there at once and can wait for its end, and so that its events are
sent again if they are lost.

The checkout's row is also the outbox of its handover: it is committed with the frozen cart, and has a due time until
the handover is done. The request that began the checkout delivers it, unless too many requests do so at the moment; an
orchestrated checkout is then delivered by the worker at once. The worker also delivers overdue ones, after carrito or
the saga service has died in between. Delivering twice does no harm, since the saga's id is the key. Of checkouts that
the orchestrator began itself, the worker delivers only those whose sagas it does not have.
The message is `CheckoutIn`, the body of both saga services' `POST …/checkout`.
"""

from collections.abc import Collection
from contextlib import AbstractContextManager
from urllib.parse import urlencode
from uuid import UUID

import structlog
from pydantic import BaseModel, StrictBool

from carrito.config import Settings
from carrito.domain import Checkout, CheckoutHandover
from shared.fault_switches.header import headers_of
from shared.http.bulkhead import Bulkhead
from shared.http.client import PEER_FAILED, Peer, PeerRefused, Reply
from shared.saga.views import CheckoutIn

ANSWER_SECONDS = 5.0  # without the time that the client prefers to wait
MOST_WAIT = 30.0
MOST_SAGA_IDS = 50  # sagas in one request, whose line servers limit
MESSAGE_FIELDS = tuple(CheckoutIn.model_fields)
log = structlog.get_logger()


class SagaNamed(BaseModel):
    """What carrito reads of a saga that its service accepted or has."""

    saga_id: UUID


class SagasNamed(BaseModel):
    """What carrito reads of a list of sagas."""

    items: list[SagaNamed]


class SagaDirection(BaseModel):
    """What carrito reads of a saga to know whether it turned back."""

    turned_back: StrictBool


class Handover:
    """HTTP clients of the two saga services."""

    def __init__(self, settings: Settings, places: int) -> None:
        """At most `places` requests deliver at once, and may then wait for the end of their saga.

        The other threads stay free for the steps that sagas request from carrito. Without them, carrito's threads would
        wait for sagas, which would wait for carrito.
        """
        token = settings.service_token
        self._peers = {
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
        """Occupy one of the `places` for the block; yield False when all are taken."""
        return self._bulkhead.enter_if_free()

    def has_turned_back(self, checkout: Checkout) -> bool:
        """Whether the orchestrator says that the checkout's saga turned back, which is final.

        False for a choreographed saga, whose steps are compensated by events. Raises one of `PEER_FAILED` without an
        answer.
        """
        if checkout.saga_pattern != "orchestrated":
            return False
        orchestrator, _ = self._peers["orchestrated"]
        with self._bulkhead.enter():
            saga = orchestrator.get(f"/saga/{checkout.saga_id}").success_if_found(SagaDirection)
        return saga is not None and saga.turned_back

    def known(self, saga_ids: Collection[UUID]) -> set[UUID]:
        """Return those of these sagas, at most `MOST_SAGA_IDS`, that the orchestrator has; none without an answer.

        Only its own word proves it: whoever may request steps may also confirm an order of a saga that nobody runs.
        """
        if not saga_ids:
            return set()
        orchestrator, _ = self._peers["orchestrated"]
        query = urlencode({"saga_id": sorted(saga_ids), "limit": MOST_SAGA_IDS}, doseq=True)
        try:
            found = orchestrator.get(f"/saga?{query}").success(SagasNamed)
        except (*PEER_FAILED, PeerRefused) as error:
            log.warning("the orchestrator does not tell which sagas it has", error=error.detail)
            return set()
        return {each.saga_id for each in found.items} & set(saga_ids)

    def deliver(self, checkout: CheckoutHandover, prefer: str = "") -> Reply | None:
        """Return the answer of the saga service; None when it did not accept, and the worker will try again.

        `prefer` is the client's Prefer header.
        """
        peer, path = self._peers[checkout.saga_pattern]
        message = {name: getattr(checkout, name) for name in MESSAGE_FIELDS}
        headers = {"traceparent": checkout.trace, **({"Prefer": prefer} if prefer else {})}
        headers |= headers_of(checkout.fault)
        wait = MOST_WAIT if prefer else 0.0
        try:
            reply = peer.request("POST", path, message, headers, wait)
            accepted = reply.success(SagaNamed)
        except (*PEER_FAILED, PeerRefused) as error:
            log.warning("checkout not handed over", saga_id=str(checkout.saga_id), error=error.detail)
            return None
        if accepted.saga_id != checkout.saga_id:
            log.warning("checkout not accepted", saga_id=str(checkout.saga_id), answered=str(accepted.saga_id))
            return None
        return reply

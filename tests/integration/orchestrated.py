"""Orchestrated checkouts for tests that bring sagas to the orchestrator themselves."""

from uuid import UUID

from saga_orchestrator.domain import Checkout
from saga_orchestrator.orchestrator import CHECKOUT, CheckoutSaga
from saga_orchestrator.runtime.store import new_instance
from shared.ids import new_id


def new_checkout(saga_id: UUID | None = None, total_minor: int = 0) -> CheckoutSaga:
    """A checkout of an empty cart of its own."""
    return new_instance(CHECKOUT, saga_id or new_id(), Checkout(new_id(), "ana", "paypal", "here", (), total_minor), {})

"""Orchestrated sagas, for tests that accept them without a checkout over HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from flask import Flask
from sqlalchemy import Connection

from saga_orchestrator.domain import Checkout
from saga_orchestrator.models import db
from saga_orchestrator.orchestrator import CHECKOUT, CheckoutSaga
from saga_orchestrator.runtime.store import new_instance
from shared.ids import new_id


def new_checkout(saga_id: UUID | None = None, total_minor: int = 0) -> CheckoutSaga:
    """Make a checkout of an empty cart of its own."""
    return new_instance(CHECKOUT, saga_id or new_id(), Checkout(new_id(), "ana", "paypal", "here", (), total_minor), {})


class OrchestratorStore:
    """The orchestrator's store, on the database of an app."""

    def __init__(self, app: Flask) -> None:
        self._app = app

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Open a transaction that commits at the end of the block."""
        with self._app.app_context(), db.transaction() as connection:
            yield connection

"""A deployment changes the steps of the checkout while sagas run, on a real PostgreSQL and over real HTTP."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient

from saga_orchestrator.config import Settings
from saga_orchestrator.domain import Checkout
from saga_orchestrator.orchestrator import CARRITO, CHECKOUT, CheckoutSaga, only_saga
from saga_orchestrator.runtime import operators, store
from saga_orchestrator.runtime.definition import InvalidSaga, SagaDefinition, Step, post
from saga_orchestrator.runtime.executor import Executor
from saga_orchestrator.runtime.leases import Acceptance
from saga_orchestrator.runtime.versions import Versions
from shared.database.listen import ShutdownSignal
from shared.testing import wait_until
from tests.integration.answering_service import Service, answering_service
from tests.integration.orchestrated import OrchestratorStore, new_checkout

LONG = 60.0
RESERVE, PAY, ORDER = CHECKOUT.compensatable
GIFT: Step[Checkout] = Step(
    "wrap_gift",
    action=post(CARRITO, "/gifts", lambda saga: {"saga_id": saga.saga_id, "gift_id": saga.ids["gift_id"]}),
    compensation=post(CARRITO, "/gifts/{gift_id}/cancel", only_saga),
    id="gift_id",
)
# Changes of the steps by a deployment; all have the same pivot and the same steps after it.
DEPLOYS = {
    "adds one before those that were done": (GIFT, RESERVE, PAY, ORDER),
    "adds one behind": (RESERVE, PAY, ORDER, GIFT),
    "removes one": (PAY, ORDER),
    "reorders them": (ORDER, PAY, RESERVE),
}
PATHS = {
    RESERVE: "/api/products/reserve",
    PAY: "/api/v1/payments/saga",
    ORDER: "/orders",
    GIFT: "/gifts",
}
deploys = pytest.mark.parametrize("steps", DEPLOYS.values(), ids=DEPLOYS.keys())


def version(number: int, *steps: Step[Any]) -> SagaDefinition[Any]:
    return replace(CHECKOUT, version=number, compensatable=steps)


class Participants:
    """All participants at one address. They do each step; orders are answered with `orders`."""

    def __init__(self, service: Service) -> None:
        self.orders = 201  # the status of the answer to an order
        self.url, self.requested = service.url, service.requested
        service.answer = lambda path, body: (
            self.orders if path == "/orders" else 200,
            {"saga_id": body["saga_id"]},
        )


@pytest.fixture
def participants() -> Iterator[Participants]:
    with answering_service() as service:
        yield Participants(service)


class Deployment(OrchestratorStore):
    """The orchestrator's database, and executors of any versions."""

    def __init__(self, app: Flask, database_url: str, participants: Participants) -> None:
        super().__init__(app)
        told: dict[str, Any] = {"SAGA_ORCHESTRATOR_DATABASE_URL": database_url}
        told |= {f"{service.name}_service_url": participants.url for service in CHECKOUT.services}
        self._settings = Settings(_env_file=None, tries_per_attempt=1, retry_most_seconds=0.2, **told)

    def accept(self, definition: SagaDefinition[Any]) -> CheckoutSaga:
        checkout = new_checkout()
        saga: CheckoutSaga = store.new_instance(definition, checkout.saga_id, checkout.data, {})
        with self.transaction() as connection:
            assert store.accept(connection, definition, [saga], LONG, Acceptance()) == {saga.saga_id}
        return saga

    @contextmanager
    def running(self, *definitions: SagaDefinition[Any]) -> Iterator[None]:
        """Run an executor of these versions for the block; the first one is current."""
        stop = ShutdownSignal()
        executor = Executor(self.transaction, Versions(*definitions), self._settings, stop)
        thread = threading.Thread(target=executor.run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.request()
            thread.join(LONG)

    def status(self, saga_id: UUID) -> str:
        statement = "SELECT status FROM sagas WHERE saga_id = %(id)s"
        with self.transaction() as connection:
            return str(connection.exec_driver_sql(statement, {"id": saga_id}).scalar_one())

    def is_leased(self, saga_id: UUID) -> bool:
        statement = "SELECT owner IS NOT NULL FROM sagas WHERE saga_id = %(id)s"
        with self.transaction() as connection:
            return bool(connection.exec_driver_sql(statement, {"id": saga_id}).scalar_one())

    def until(self, saga_id: UUID, status: str) -> None:
        wait_until(lambda: self.status(saga_id) == status, f"it is {status}", LONG)


@pytest.fixture
def deployment(
    service_client: Callable[..., FlaskClient], fresh_database_url: str, participants: Participants
) -> Deployment:
    app = service_client("saga_orchestrator", database_url=fresh_database_url).application
    return Deployment(app, fresh_database_url, participants)


def paths_of(saga: CheckoutSaga) -> dict[str, str]:
    """Return the paths of the forward requests after the steps before the pivot."""
    return {"commit": "/api/products/commit", "confirm": f"/orders/{saga.ids['order_id']}/confirm"}


@pytest.fixture
def in_flight(deployment: Deployment, participants: Participants) -> CheckoutSaga:
    """Return a saga that began with the first version, was paid, and waits for its order."""
    participants.orders = 503
    with deployment.running(CHECKOUT):
        saga = deployment.accept(CHECKOUT)
        wait_until(lambda: "/orders" in participants.requested, "its order was requested", LONG)
    participants.requested.clear()
    return saga


@deploys
def test_a_saga_in_flight_goes_forward_by_the_version_that_it_began_with(
    deployment: Deployment, participants: Participants, in_flight: CheckoutSaga, steps: tuple[Step[Any], ...]
) -> None:
    participants.orders = 201
    with deployment.running(version(2, *steps), CHECKOUT):
        deployment.until(in_flight.saga_id, "completed")
    assert participants.requested == ["/orders", *paths_of(in_flight).values()]


@deploys
def test_a_saga_in_flight_is_compensated_by_the_version_that_it_began_with(
    deployment: Deployment, participants: Participants, in_flight: CheckoutSaga, steps: tuple[Step[Any], ...]
) -> None:
    participants.orders = 409
    with deployment.running(version(2, *steps), CHECKOUT):
        deployment.until(in_flight.saga_id, "compensated")
    ids = in_flight.ids
    assert participants.requested == [
        "/orders",
        f"/orders/{ids['order_id']}/cancel",
        f"/api/v1/payments/saga/{ids['payment_id']}/refund",
        "/api/products/unreserve",
        f"/carts/{in_flight.data.cart_id}/release",
    ]


@deploys
def test_a_completed_saga_is_undone_by_the_version_that_it_began_with(
    deployment: Deployment, participants: Participants, steps: tuple[Step[Any], ...]
) -> None:
    with deployment.running(CHECKOUT):
        saga = deployment.accept(CHECKOUT)
        deployment.until(saga.saga_id, "completed")
    participants.requested.clear()
    after = Versions(version(2, *steps), CHECKOUT)
    with deployment.transaction() as connection:
        operators.compensate(connection, after, saga.saga_id, "why", "me")
    with deployment.running(*after):
        deployment.until(saga.saga_id, "compensated")
    assert participants.requested[:2] == ["/api/products/unreserve", f"/orders/{saga.ids['order_id']}/cancel"]


@deploys
def test_a_saga_that_begins_after_the_deploy_runs_the_new_steps(
    deployment: Deployment, participants: Participants, steps: tuple[Step[Any], ...]
) -> None:
    new = version(2, *steps)
    with deployment.running(new, CHECKOUT):
        saga = deployment.accept(new)
        deployment.until(saga.saga_id, "completed")
    assert participants.requested[: len(steps)] == [PATHS[step] for step in steps]
    assert participants.requested[-2:] == list(paths_of(saga).values())


def test_a_process_leaves_sagas_alone_whose_version_it_does_not_know(
    deployment: Deployment, participants: Participants
) -> None:
    """As an old process does when new ones already run."""
    new = version(2, RESERVE, GIFT, PAY, ORDER)
    unknown = deployment.accept(new)
    with deployment.running(CHECKOUT):
        known = deployment.accept(CHECKOUT)
        deployment.until(known.saga_id, "completed")
        assert deployment.status(unknown.saga_id) == "pending"
        assert not deployment.is_leased(unknown.saga_id)
        assert "/gifts" not in participants.requested
    with deployment.running(new, CHECKOUT):
        deployment.until(unknown.saga_id, "completed")


def test_a_process_lists_sagas_of_a_version_that_it_does_not_know_and_says_so_of_each(
    service_client: Callable[..., FlaskClient], deployment: Deployment, fresh_database_url: str
) -> None:
    client = service_client("saga_orchestrator", database_url=fresh_database_url)
    saga = deployment.accept(version(2, GIFT, RESERVE, PAY, ORDER))
    (listed,) = client.get("/saga").get_json()["items"]
    assert (listed["saga_id"], listed["status"]) == (str(saga.saga_id), "pending")
    assert (listed["step"], listed["direction"], listed["attempts"]) == (None, None, 0)
    for path in (f"/saga/{saga.saga_id}", f"/saga/{saga.saga_id}/timeline"):
        answer = client.get(path)
        assert (answer.status_code, answer.get_json()["version"]) == (503, 2), path
    for action in ("compensate", "retry"):
        answer = client.post(f"/saga/{saga.saga_id}/{action}", json={"reason": "why", "by": "me"})
        assert answer.status_code == 503, action
    assert client.get("/saga/operations").get_json()["items"] == []
    assert deployment.status(saga.saga_id) == "pending"


def test_two_versions_cannot_have_one_number() -> None:
    with pytest.raises(InvalidSaga, match="two versions are 1"):
        Versions(CHECKOUT, replace(CHECKOUT, compensatable=(RESERVE, ORDER)))


@pytest.mark.parametrize(
    "change", ["data = (data::jsonb - 'items')::json", "state = '{}'", "state = '{\"steps\": []}'"]
)
def test_a_saga_whose_row_the_code_cannot_read_holds_up_no_other(deployment: Deployment, change: str) -> None:
    """As after a deployment that changed the meaning of a version."""
    unreadable = deployment.accept(CHECKOUT)
    with deployment.transaction() as connection:
        connection.exec_driver_sql(f"UPDATE sagas SET {change}")
    before = deployment.accept(CHECKOUT)
    with deployment.running(CHECKOUT):
        deployment.until(before.saga_id, "completed")
        later = deployment.accept(CHECKOUT)
        deployment.until(later.saga_id, "completed")
    assert deployment.status(unreadable.saga_id) == "pending"

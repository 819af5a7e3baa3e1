"""Batches of orders at which the database fails, and batches at the same moment."""

import random
import threading
from collections.abc import Callable
from functools import partial

import pytest
from flask.testing import FlaskClient
from sqlalchemy import create_engine, text

from carrito import service
from carrito.domain import OrderRequest
from shared.ids import new_id
from shared.testing import concurrently
from tests.integration.api_client import body_of, kinds, statuses, wait_for_blocked
from tests.integration.carrito_client import USER, Carrito, Saga, begun, order, step

ServiceClient = Callable[..., FlaskClient]
pytestmark = pytest.mark.usefixtures("together")


@pytest.fixture
def carrito(service_client: ServiceClient) -> Carrito:
    return Carrito(service_client("carrito"))


@pytest.fixture
def fresh(service_client: ServiceClient, fresh_database_url: str) -> Carrito:
    """carrito on a database of its own."""
    return Carrito(service_client("carrito", database_url=fresh_database_url))


# Failures.


@pytest.fixture
def poison(fresh_database_url: str) -> None:
    """Make the database fail for this product."""
    admin = create_engine(fresh_database_url)
    with admin.begin() as connection:
        connection.execute(text("ALTER TABLE carrito.orders ADD CHECK (items NOT LIKE '%product 3%')"))
    admin.dispose()


@pytest.mark.usefixtures("poison")
def test_a_command_at_which_the_database_fails_takes_no_other_with_it(fresh: Carrito) -> None:
    good, empty, bad, open_one = [
        *begun(fresh, 1),
        Saga(fresh.open_cart(), new_id()),
        fresh.saga_of(fresh.open_cart((3, 1))),
        Saga(fresh.open_cart((1, 1)), new_id()),
    ]
    assert statuses(order(fresh, [good, empty, bad, open_one])) == [201, 409, 500, 201]
    assert kinds(step(fresh, "cancel", [bad, good])) == ["void", "cancelled"]
    assert kinds(step(fresh, "release", [bad, good])) == ["open", "open"]


# Concurrency.


def test_a_release_waits_for_the_order_that_is_just_being_made_and_leaves_it_its_cart(carrito: Carrito) -> None:
    [saga], made = begun(carrito, 1), threading.Semaphore(0)

    def create() -> int:
        with carrito.transaction() as connection:
            service.create_order(
                connection, [OrderRequest(saga.saga_id, saga.cart_id, saga.order_id, USER, None, None)], "EUR"
            )
            made.release()
            wait_for_blocked(connection)
        return 0

    def release() -> int:
        assert made.acquire(timeout=30)
        return carrito.release(saga).status_code

    assert concurrently(create, release) == [0, 409]
    assert carrito.cart(saga.cart_id)["saga_id"] == str(saga.saga_id)


def test_batches_of_the_same_sagas_in_any_order_make_each_order_once(carrito: Carrito) -> None:
    for _ in range(4):
        sagas = [*begun(carrito, 4), *(Saga(carrito.open_cart((1, 1)), new_id()) for _ in range(4))]
        shuffled = [random.sample(sagas, k=len(sagas)) for _ in range(6)]
        answers = concurrently(*[partial(order, carrito, each) for each in shuffled])
        assert {status for outcomes in answers for status in statuses(outcomes)} == {201}
        answers = concurrently(*[partial(step, carrito, "confirm", each) for each in shuffled])
        assert {status for outcomes in answers for status in statuses(outcomes)} == {200}
        assert {carrito.cart(saga.cart_id)["status"] for saga in sagas} == {"checked_out"}


def test_batches_of_every_step_over_the_same_sagas_never_deadlock_and_agree_in_the_end(carrito: Carrito) -> None:
    for _ in range(4):
        sagas = begun(carrito, 8)
        order(carrito, sagas[:5])
        steps = [partial(step, carrito, what) for what in ("confirm", "cancel", "confirm", "release", "cancel")]
        batches = [partial(act, random.sample(sagas, k=8)) for act in steps]
        outcomes = [one for batch in concurrently(*batches, partial(order, carrito, sagas[::-1])) for one in batch]
        assert set(statuses(outcomes)) <= {200, 201, 404, 409}
        assert set(kinds(step(carrito, "cancel", sagas))) <= {"cancelled", "void"}
        assert kinds(step(carrito, "release", sagas)) == ["open"] * 8


def test_open_carts_that_sagas_want_in_batches_at_once_go_to_one_each(carrito: Carrito) -> None:
    cart_ids = [carrito.open_cart((1, 1)) for _ in range(6)]
    batches = [[Saga(cart_id, new_id()) for cart_id in random.sample(cart_ids, k=6)] for _ in range(5)]
    answers = concurrently(*[partial(order, carrito, sagas) for sagas in batches])
    outcomes = [outcome for answer in answers for outcome in answer]
    assert sorted(statuses(outcomes)) == [201] * 6 + [409] * 24
    for cart_id in cart_ids:
        [made] = body_of(carrito.get(f"/orders/saga/{cart_id}"))["items"]
        assert carrito.cart(cart_id)["saga_id"] == made["saga_id"]

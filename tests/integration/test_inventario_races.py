"""Many concurrent sagas on a real PostgreSQL: stock is neither lost nor created, and no saga waits for ever."""

import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from inventario import service
from inventario.domain import Sell
from inventario.worker import run_once
from shared.testing import concurrently
from tests.integration.api_client import problem_of, wait_for_blocked
from tests.integration.inventario_client import Inventario, Saga

ServiceClient = Callable[..., FlaskClient]


@pytest.fixture
def inventario(service_client: ServiceClient) -> Inventario:
    return Inventario(service_client("inventario"))


@pytest.fixture
def hasty(service_client: ServiceClient, fresh_database_url: str) -> Inventario:
    """inventario with holds that expire at once, on a database of its own, so that sweeps can be counted."""
    return Inventario(service_client("inventario", fresh_database_url, hold_seconds=1e-6))


def sweep(inventario: Inventario) -> int:
    """Run the worker once; return how many holds it returned."""
    with inventario.client.application.app_context():
        return run_once()


def test_fifty_reservations_at_once_for_a_stock_of_ten_hold_exactly_ten(inventario: Inventario) -> None:
    product = inventario.add(10)
    answers = concurrently(*[partial(inventario.reserve, Saga(), {product: 1}) for _ in range(50)])
    assert Counter(answer.status_code for answer in answers) == {201: 10, 409: 40}
    refused = {problem_of(answer)["type"] for answer in answers if answer.status_code == 409}
    assert refused == {"/problems/insufficient-stock"}
    assert inventario.stock(product) == (0, 10, 0)


def test_reservations_of_two_products_in_opposite_order_never_deadlock(inventario: Inventario) -> None:
    one, other = inventario.add(1000), inventario.add(1000)
    for _ in range(10):
        there = [partial(inventario.reserve, Saga(), {one: 1, other: 1}) for _ in range(4)]
        back = [partial(inventario.reserve, Saga(), {other: 1, one: 1}) for _ in range(4)]
        assert {answer.status_code for answer in concurrently(*there, *back)} == {201}
    assert [inventario.stock(product) for product in (one, other)] == [(920, 80, 0)] * 2


def test_every_kind_of_step_at_once_over_the_same_products_never_deadlocks(hasty: Inventario) -> None:
    """Holds of three products are sold, returned and swept while others are made, in all orders."""
    a, b, c = (hasty.add(10_000) for _ in range(3))
    orders = [{a: 1, b: 1, c: 1}, {c: 1, b: 1, a: 1}, {b: 1, a: 1}, {c: 1, a: 1}]
    steps: list[Callable[[Saga], object]] = [
        hasty.commit,
        hasty.unreserve,
        lambda _: sweep(hasty),
        lambda saga: [hasty.commit(saga), hasty.unreserve(saga)],
    ]

    def shop(number: int) -> list[TestResponse]:
        answers = []
        for turn in range(12):
            saga = Saga()
            answers.append(hasty.reserve(saga, orders[(number + turn) % 4]))
            steps[(number * 3 + turn) % 4](saga)
        return answers

    answers = [answer for each in concurrently(*[partial(shop, number) for number in range(8)]) for answer in each]
    assert {answer.status_code for answer in answers} == {201}
    assert hasty.books_balance()
    while sweep(hasty):
        pass
    assert hasty.audit()["stock"]["held"] == 0
    assert hasty.books_balance()


def test_of_expiry_and_commit_exactly_one_wins(hasty: Inventario) -> None:
    product, sold = hasty.add(1000), 0
    for _ in range(60):
        saga = Saga()
        hasty.reserve(saga, {product: 2})
        both: list[Any] = concurrently(partial(hasty.commit, saga), partial(sweep, hasty))
        committed, expired = both
        won = committed.status_code == 200
        assert won or problem_of(committed)["type"] == "/problems/reservation-not-held"
        expired += sweep(hasty)
        assert (won, expired) in {(True, 0), (False, 1)}
        sold += 2 * won
        assert hasty.stock(product) == (1000 - sold, 0, sold)
    assert hasty.books_balance()


def test_a_sweep_passes_by_a_hold_that_is_being_sold(hasty: Inventario) -> None:
    product, saga = hasty.add(10), Saga()
    hasty.reserve(saga, {product: 2})
    with hasty.transaction() as connection:
        service.commit(connection, [Sell(saga.saga_id)])
        assert sweep(hasty) == 0
    assert sweep(hasty) == 0
    assert hasty.stock(product) == (8, 0, 2)


def test_a_sale_waits_for_the_sweep_that_has_its_hold_and_is_refused(hasty: Inventario) -> None:
    product, saga = hasty.add(10), Saga()
    hasty.reserve(saga, {product: 2})
    swept = threading.Event()

    def sweep_slowly() -> int:
        with hasty.transaction() as connection:
            expired = service.expire_holds(connection, limit=10)
            swept.set()
            wait_for_blocked(connection)
        return expired

    def sell() -> int:
        swept.wait()
        return hasty.commit(saga).status_code

    assert concurrently(sweep_slowly, sell) == [1, 409]
    assert hasty.stock(product) == (10, 0, 0)


def test_of_commit_and_undo_the_undo_stands_whichever_is_first(inventario: Inventario) -> None:
    product = inventario.add(10)
    for _ in range(30):
        saga = Saga()
        inventario.reserve(saga, {product: 2})
        committed, undone = concurrently(partial(inventario.commit, saga), partial(inventario.unreserve, saga))
        assert (committed.status_code, undone.status_code) in {(200, 200), (409, 200)}
        assert inventario.statuses(saga) == ["released"]
        assert inventario.stock(product) == (10, 0, 0)


def test_several_sweepers_at_once_return_every_hold_once(hasty: Inventario) -> None:
    products, holds = [hasty.add(1000) for _ in range(3)], 250
    for number in range(holds):
        hasty.reserve(Saga(), {products[number % 3]: 1, products[(number + 1) % 3]: 2})

    def sweep_all() -> int:
        total = 0
        while swept := sweep(hasty):
            total += swept
        return total

    assert sum(concurrently(*[sweep_all] * 6)) == holds
    assert [hasty.stock(product) for product in products] == [(1000, 0, 0)] * 3
    assert hasty.audit()["reservations"] == {"expired": holds}

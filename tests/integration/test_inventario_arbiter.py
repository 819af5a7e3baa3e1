"""The arbiter: exactly one of sale, expiry and cancellation decides, and later requests get the same verdict."""

import threading
from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest
from flask.testing import FlaskClient

from inventario import service
from inventario.domain import Cancel, ReservationNotHeld, Ruling, Sell, Unreserve
from shared.http.answers import value_or_raise
from shared.ids import new_id
from shared.saga.barrier import Done
from shared.testing import concurrently
from tests.integration.api_client import outcome, problem_of, wait_for_blocked
from tests.integration.inventario_client import Inventario, Saga

ServiceClient = Callable[..., FlaskClient]
TRIES = 30  # of two concurrent requests, so that each is first now and then


@pytest.fixture
def inventario(service_client: ServiceClient) -> Inventario:
    return Inventario(service_client("inventario"))


@pytest.fixture
def hasty(service_client: ServiceClient) -> Inventario:
    """inventario with holds that expire at once."""
    return Inventario(service_client("inventario", hold_seconds=1e-6))


def cancel(inventario: Inventario, *sagas: Saga, deadline: bool = True) -> list[Ruling]:
    with inventario.transaction() as connection:
        return service.cancel(connection, [Cancel(saga.saga_id, only_before_pivot=deadline) for saga in sagas])


def commit(inventario: Inventario, saga: Saga, *, order: bool = True) -> bool | str:
    """Sell for an order, or without one; return whether the sale was new, or the status of the reservation."""
    with inventario.transaction() as connection:
        request = Sell(saga.saga_id, order_id=new_id() if order else None)
        [found] = service.commit(connection, [request])
    if isinstance(found, Done):
        return found.first
    assert isinstance(found, ReservationNotHeld)
    return str(found.fields["reservation"])


def release(inventario: Inventario, saga: Saga) -> bool:
    """Return whether the stock was returned for the first time."""
    with inventario.transaction() as connection:
        [found] = service.unreserve(connection, [Unreserve(saga.saga_id)])
    return value_or_raise(found).first


def expire(inventario: Inventario) -> None:
    with inventario.transaction() as connection:
        service.expire_holds(connection, limit=100)


def reserve(inventario: Inventario, saga: Saga, product: int) -> int:
    """Return the status of a reserve of two."""
    return inventario.reserve(saga, {product: 2}).status_code


def held(inventario: Inventario, product: int) -> Saga:
    """Return a saga that holds two."""
    saga = Saga()
    assert reserve(inventario, saga, product) == 201
    return saga


# One after the other.


@pytest.mark.parametrize("deadline", [True, False])
def test_what_is_held_goes_back_and_is_not_sold(inventario: Inventario, deadline: bool) -> None:
    product = inventario.add(10)
    saga = held(inventario, product)
    assert cancel(inventario, saga, deadline=deadline) == [Ruling.TURNED_BACK]
    assert inventario.stock(product) == (10, 0, 0)
    assert commit(inventario, saga) == "released"
    assert inventario.stock(product) == (10, 0, 0)


def test_before_its_reserve_a_saga_is_refused_for_good(inventario: Inventario) -> None:
    product, saga = inventario.add(10), Saga()
    assert cancel(inventario, saga) == [Ruling.RESERVE_REFUSED]
    refused = inventario.reserve(saga, {product: 2})
    assert (problem_of(refused)["status"], problem_of(refused)["type"]) == (409, "/problems/checkout-cancelled")
    assert outcome(inventario.reserve(saga, {product: 2})) == outcome(refused)
    assert cancel(inventario, saga, deadline=False) == [Ruling.RESERVE_REFUSED]
    assert inventario.stock(product) == (10, 0, 0)


def test_a_deadline_undoes_no_sale(inventario: Inventario) -> None:
    product = inventario.add(10)
    saga = held(inventario, product)
    assert commit(inventario, saga) is True
    assert cancel(inventario, saga) == [Ruling.STANDS]
    assert inventario.stock(product) == (8, 0, 2)


def test_a_deadline_undoes_a_sale_without_an_order(inventario: Inventario) -> None:
    """Anybody with the services' token may request a sale before its saga does; the saga may never get there."""
    product = inventario.add(10)
    saga = held(inventario, product)
    assert commit(inventario, saga, order=False) is True
    assert cancel(inventario, saga) == [Ruling.TURNED_BACK]
    assert commit(inventario, saga) == "released"
    assert inventario.stock(product) == (10, 0, 0)
    assert inventario.books_balance()


@pytest.mark.parametrize("orders", [(False, True), (True, False), (False, True, False)])
def test_a_sale_that_got_its_order_stands_whichever_request_was_first(
    inventario: Inventario, orders: tuple[bool, ...]
) -> None:
    product = inventario.add(10)
    saga = held(inventario, product)
    assert [commit(inventario, saga, order=order) for order in orders] == [True] + [False] * (len(orders) - 1)
    assert cancel(inventario, saga) == [Ruling.STANDS]
    assert inventario.stock(product) == (8, 0, 2)


def test_an_operator_undoes_a_sale_once(inventario: Inventario) -> None:
    product = inventario.add(10)
    saga = held(inventario, product)
    commit(inventario, saga)
    assert [cancel(inventario, saga, deadline=deadline) for deadline in (False, False, True)] == [
        [Ruling.TURNED_BACK]
    ] * 3
    assert inventario.stock(product) == (10, 0, 0)
    assert inventario.books_balance()


def test_of_a_saga_that_was_refused_it_is_said_again(inventario: Inventario) -> None:
    product, saga = inventario.add(1), Saga()
    refused = inventario.reserve(saga, {product: 2})
    assert cancel(inventario, saga) == [Ruling.RESERVE_REFUSED]
    assert outcome(inventario.reserve(saga, {product: 2})) == outcome(refused)


@pytest.mark.parametrize("sold", [True, False])
@pytest.mark.parametrize("deadline", [True, False])
def test_of_a_saga_that_was_undone_by_hand_it_is_said_that_it_turns_back(
    inventario: Inventario, sold: bool, deadline: bool
) -> None:
    product = inventario.add(10)
    saga = held(inventario, product)
    if sold:
        commit(inventario, saga)
    release(inventario, saga)
    assert cancel(inventario, saga, deadline=deadline) == [Ruling.TURNED_BACK]
    assert inventario.stock(product) == (10, 0, 0)


def test_a_saga_on_its_way_back_is_told_so_again_and_nothing_moves(inventario: Inventario) -> None:
    product = inventario.add(10)
    saga = held(inventario, product)
    assert release(inventario, saga) is True
    assert cancel(inventario, saga) == [Ruling.TURNED_BACK]
    assert inventario.stock(product) == (10, 0, 0)


def test_the_release_at_the_end_of_the_way_back_is_new_and_moves_nothing(inventario: Inventario) -> None:
    """The saga that was turned back is released last; its result must be that all is returned."""
    product = inventario.add(10)
    saga = held(inventario, product)
    cancel(inventario, saga)
    assert release(inventario, saga) is True
    assert release(inventario, saga) is False
    assert inventario.stock(product) == (10, 0, 0)


def test_a_hold_that_is_over_turns_its_saga_back_once(hasty: Inventario) -> None:
    """Whether its sale comes first, or its cancellation."""
    product = hasty.add(10)
    late, cancelled = held(hasty, product), held(hasty, product)
    expire(hasty)
    assert [commit(hasty, late), commit(hasty, late)] == ["expired", "released"]
    assert [cancel(hasty, each) for each in (late, cancelled, cancelled)] == [[Ruling.TURNED_BACK]] * 3
    assert commit(hasty, cancelled) == "released"
    assert hasty.stock(product) == (10, 0, 0)


def test_each_of_many_has_a_verdict_of_its_own(inventario: Inventario) -> None:
    product = inventario.add(10)
    new, sold, waiting = Saga(), held(inventario, product), held(inventario, product)
    commit(inventario, sold)
    with inventario.transaction() as connection:
        commands = [Cancel(waiting.saga_id, True), Cancel(new.saga_id, False), Cancel(sold.saga_id, True)]
        assert service.cancel(connection, commands) == [
            Ruling.TURNED_BACK,
            Ruling.RESERVE_REFUSED,
            Ruling.STANDS,
        ]
    with inventario.transaction() as connection:
        assert service.cancel(connection, [Cancel(sold.saga_id, False), Cancel(new_id(), True)]) == [
            Ruling.TURNED_BACK,
            Ruling.RESERVE_REFUSED,
        ]
    assert inventario.stock(product) == (10, 0, 0)


# Concurrently.


def test_of_a_sale_and_a_deadline_exactly_one_wins(inventario: Inventario) -> None:
    product, sold = inventario.add(1000), 0
    seen = Counter[bool]()
    for _ in range(TRIES):
        saga = held(inventario, product)
        found = concurrently(partial(commit, inventario, saga), partial(cancel, inventario, saga))
        assert found in ([True, [Ruling.STANDS]], ["released", [Ruling.TURNED_BACK]])
        seen[found[0] is True] += 1
        sold += 2 * (found[0] is True)
        assert inventario.stock(product) == (1000 - sold, 0, sold)
    assert inventario.books_balance()


def test_of_a_sale_without_an_order_its_order_and_a_deadline_one_of_the_last_two_decides(
    inventario: Inventario,
) -> None:
    product, sold = inventario.add(1000), 0
    for _ in range(TRIES):
        saga = held(inventario, product)
        early, ordered, verdict = concurrently(
            partial(commit, inventario, saga, order=False),
            partial(commit, inventario, saga),
            partial(cancel, inventario, saga),
        )
        stands = verdict == [Ruling.STANDS]
        assert (ordered in {True, False}) == stands, (early, ordered, verdict)
        sold += 2 * stands
        assert inventario.stock(product) == (1000 - sold, 0, sold)
    assert inventario.books_balance()


def test_of_a_sale_and_an_operator_the_operator_wins_once_whichever_is_first(inventario: Inventario) -> None:
    product = inventario.add(10)
    for _ in range(TRIES):
        saga = held(inventario, product)
        committed, verdict = concurrently(
            partial(commit, inventario, saga), partial(cancel, inventario, saga, deadline=False)
        )
        assert (committed, verdict) in (
            (True, [Ruling.TURNED_BACK]),
            ("released", [Ruling.TURNED_BACK]),
        )
        assert inventario.stock(product) == (10, 0, 0)


def test_of_a_reserve_and_its_cancellation_nothing_stays_held(inventario: Inventario) -> None:
    product = inventario.add(10)
    for _ in range(TRIES):
        saga = Saga()
        reserved, verdict = concurrently(partial(reserve, inventario, saga, product), partial(cancel, inventario, saga))
        assert (reserved, verdict) in ((201, [Ruling.TURNED_BACK]), (409, [Ruling.RESERVE_REFUSED]))
        assert inventario.stock(product) == (10, 0, 0)


@pytest.mark.parametrize("deadline", [True, False])
def test_of_many_cancellations_at_once_one_turns_the_saga_back_and_all_say_so(
    inventario: Inventario, deadline: bool
) -> None:
    product = inventario.add(10)
    for _ in range(5):
        saga = held(inventario, product)
        verdicts = concurrently(*[partial(cancel, inventario, saga, deadline=deadline)] * 8)
        assert verdicts == [[Ruling.TURNED_BACK]] * 8
        assert inventario.stock(product) == (10, 0, 0)


def test_of_many_sales_of_a_hold_that_is_over_one_turns_the_saga_back(hasty: Inventario) -> None:
    product = hasty.add(10)
    for _ in range(5):
        saga = held(hasty, product)
        expire(hasty)
        found = concurrently(*[partial(commit, hasty, saga)] * 8)
        assert Counter(found) == {"expired": 1, "released": 7}
        assert hasty.stock(product) == (10, 0, 0)


def test_of_expiry_sale_and_deadline_one_decides(hasty: Inventario) -> None:
    """The saga continues, or exactly one of sale and deadline turns it back."""
    product, sold = hasty.add(1000), 0
    for _ in range(TRIES):
        saga = held(hasty, product)
        committed, verdict, _ = concurrently(
            partial(commit, hasty, saga), partial(cancel, hasty, saga), partial(expire, hasty)
        )
        assert (committed, verdict) in (
            (True, [Ruling.STANDS]),
            ("expired", [Ruling.TURNED_BACK]),
            ("released", [Ruling.TURNED_BACK]),
        )
        sold += 2 * (committed is True)
        assert hasty.stock(product) == (1000 - sold, 0, sold)


def test_of_a_release_and_a_cancellation_stock_comes_back_once(inventario: Inventario) -> None:
    product = inventario.add(10)
    for _ in range(TRIES):
        saga = held(inventario, product)
        released, verdict = concurrently(
            partial(release, inventario, saga), partial(cancel, inventario, saga, deadline=False)
        )
        assert released is True
        assert verdict == [Ruling.TURNED_BACK]
        assert inventario.stock(product) == (10, 0, 0)


def test_a_cancellation_waits_for_the_sale_under_way_and_lets_it_stand(inventario: Inventario) -> None:
    product = inventario.add(10)
    saga = held(inventario, product)
    under_way = threading.Event()

    def sell_slowly() -> bool:
        with inventario.transaction() as connection:
            [found] = service.commit(connection, [Sell(saga.saga_id, order_id=new_id())])
            under_way.set()
            wait_for_blocked(connection)
        return isinstance(found, Done)

    def turn_back() -> bool:
        under_way.wait()
        return cancel(inventario, saga) == [Ruling.STANDS]

    assert concurrently(sell_slowly, turn_back) == [True, True]
    assert inventario.stock(product) == (8, 0, 2)


def test_a_reserve_waits_for_the_cancellation_under_way_and_is_refused(inventario: Inventario) -> None:
    product, saga = inventario.add(10), Saga()
    under_way = threading.Event()

    def turn_back_slowly() -> int:
        with inventario.transaction() as connection:
            [verdict] = service.cancel(connection, [Cancel(saga.saga_id, only_before_pivot=True)])
            under_way.set()
            wait_for_blocked(connection)
        return 200 if verdict is Ruling.RESERVE_REFUSED else 500

    def ask() -> int:
        under_way.wait()
        return reserve(inventario, saga, product)

    assert concurrently(turn_back_slowly, ask) == [200, 409]
    assert inventario.stock(product) == (10, 0, 0)

"""Many sagas in one request and one transaction: each has the outcome that it would have alone, without deadlocks."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from inventario import service
from inventario.domain import Cancel, Reservation, Reserve, Sell, Unreserve
from inventario.worker import run_once
from shared.errors import DomainError
from shared.ids import new_id
from shared.json_codec import dumps
from shared.saga.barrier import Done
from shared.testing import concurrently
from tests.integration.api_client import body_of, problem_of
from tests.integration.inventario_client import COMMIT, RESERVE, UNRESERVE, Inventario, Saga

ServiceClient = Callable[..., FlaskClient]


@pytest.fixture
def inventario(service_client: ServiceClient) -> Inventario:
    return Inventario(service_client("inventario"))


@pytest.fixture
def hasty(service_client: ServiceClient, fresh_database_url: str) -> Inventario:
    """inventario with holds that expire at once, on a database of its own, for tests of its books."""
    return Inventario(service_client("inventario", fresh_database_url, hold_seconds=1e-6))


def reserve(inventario: Inventario, wanted: dict[Saga, dict[int, int]]) -> list[dict[str, Any]]:
    return inventario.many(*[(RESERVE, saga.wants(products)) for saga, products in wanted.items()])


def step(inventario: Inventario, path: str, sagas: Sequence[Saga]) -> list[dict[str, Any]]:
    return inventario.many(*[(path, saga.body) for saga in sagas])


def statuses(outcomes: Sequence[dict[str, Any]]) -> list[int]:
    return [outcome["status"] for outcome in outcomes]


def sagas(count: int) -> list[Saga]:
    return [Saga() for _ in range(count)]


# Each has the outcome that it would have alone.


@pytest.mark.parametrize("path", [RESERVE, UNRESERVE, COMMIT])
def test_a_command_of_many_has_the_answer_of_its_own_endpoint(inventario: Inventario, path: str) -> None:
    product, held = inventario.add(10), Saga()
    if path != RESERVE:
        inventario.reserve(held, {product: 2})
    body = held.wants({product: 2}) if path == RESERVE else held.body
    [outcome] = inventario.many((path, body))
    alone = inventario.post(path, body)
    assert outcome == {"status": alone.status_code, "body": alone.json}


def test_refusals_of_many_are_those_of_their_own_endpoints(inventario: Inventario) -> None:
    scarce, unknown = inventario.add(1), Saga()
    bodies = [Saga().wants({scarce: 2}), Saga().wants({999_999_999: 1}), unknown.wants({scarce: 0}), {"cart_id": "x"}]
    outcomes = inventario.many(*[(RESERVE, body) for body in bodies], (COMMIT, unknown.body))
    alone = [inventario.post(RESERVE, body) for body in bodies] + [inventario.commit(unknown)]
    assert [(each["status"], each["body"]) for each in outcomes] == [(each.status_code, each.json) for each in alone]
    assert statuses(outcomes) == [409, 404, 422, 422, 404]


def test_one_refusal_touches_no_neighbour(inventario: Inventario) -> None:
    plenty, scarce = inventario.add(100), inventario.add(1)
    wanted = {saga: {plenty: 1, scarce: 1} if number == 2 else {plenty: 1} for number, saga in enumerate(sagas(5))}
    inventario.reserve(Saga(), {scarce: 1})
    assert statuses(reserve(inventario, wanted)) == [201, 201, 409, 201, 201]
    assert (inventario.stock(plenty), inventario.stock(scarce)) == ((96, 4, 0), (0, 1, 0))


def test_of_two_that_want_the_last_one_the_first_in_the_list_has_it(inventario: Inventario) -> None:
    product = inventario.add(5)
    first, greedy, last = sagas(3)
    outcomes = reserve(inventario, {first: {product: 3}, greedy: {product: 3}, last: {product: 2}})
    assert statuses(outcomes) == [201, 409, 201]
    assert outcomes[1]["body"]["available"] == 2
    assert inventario.stock(product) == (0, 5, 0)


def test_new_repeated_refused_and_undone_reserves_may_come_together(inventario: Inventario) -> None:
    product = inventario.add(10)
    repeated, otherwise, refused, undone, new = sagas(5)
    first = body_of(inventario.reserve(repeated, {product: 1}))
    inventario.reserve(otherwise, {product: 1})
    refusal = problem_of(inventario.reserve(refused, {product: 100}))
    inventario.unreserve(undone)
    outcomes = reserve(inventario, {saga: {product: 1} for saga in (undone, repeated, new)} | {refused: {product: 100}})
    outcomes += reserve(inventario, {otherwise: {product: 2}})
    assert statuses(outcomes) == [409, 201, 201, 409, 409]
    kinds = [each["body"].get("type") for each in outcomes]
    insufficient, other = "/problems/insufficient-stock", "/problems/repeated-otherwise"
    assert kinds == ["/problems/suspended", None, None, insufficient, other]
    assert (outcomes[1]["body"], outcomes[3]["body"]) == (first, refusal)
    assert inventario.stock(product) == (7, 3, 0)


def test_commits_of_what_is_held_sold_released_over_and_unknown_may_come_together(hasty: Inventario) -> None:
    product = hasty.add(10)
    over, sold, released, unknown, held = sagas(5)
    reserve(hasty, {saga: {product: 1} for saga in (sold, released)})
    hasty.commit(sold)
    hasty.unreserve(released)
    hasty.reserve(over, {product: 1})
    with hasty.transaction() as connection:
        assert service.expire_holds(connection, limit=10) == 1
    hasty.reserve(held, {product: 1})
    outcomes = step(hasty, COMMIT, [over, sold, released, unknown, held])
    assert statuses(outcomes) == [409, 200, 409, 404, 200]
    assert [outcomes[number]["body"]["reservation"] for number in (0, 2)] == ["expired", "released"]
    assert hasty.stock(product) == (8, 0, 2)
    assert hasty.books_balance()


def test_what_is_held_sold_undone_or_never_came_is_given_back_together(inventario: Inventario) -> None:
    product, other = inventario.add(10), inventario.add(10)
    held, sold, undone, never = sagas(4)
    reserve(inventario, {held: {product: 1, other: 2}, sold: {product: 3}, undone: {other: 4}})
    inventario.commit(sold)
    inventario.unreserve(undone)
    outcomes = step(inventario, UNRESERVE, [held, sold, undone, never])
    assert [each["body"]["status"] for each in outcomes] == ["released"] * 4
    assert [len(each["body"]["reservations"]) for each in outcomes] == [2, 1, 1, 0]
    assert (inventario.stock(product), inventario.stock(other)) == ((10, 0, 0), (10, 0, 0))
    assert statuses(reserve(inventario, {never: {product: 1}})) == [409]


def test_a_step_says_of_each_saga_whether_it_was_new(inventario: Inventario) -> None:
    """Callers publish an event only for new ones."""
    product, before, new = inventario.add(10), Saga(), Saga()

    def firsts(found: Sequence[Done[Reservation] | DomainError]) -> list[bool]:
        return [isinstance(each, Done) and each.first for each in found]

    with inventario.transaction() as connection:
        commands = [Reserve(saga.saga_id, saga.cart_id, {product: 1}) for saga in (before, new)]
        both = [Sell(saga.saga_id, saga.cart_id) for saga in (before, new)]
        back = [Unreserve(saga.saga_id, saga.cart_id) for saga in (before, new)]
        assert firsts(service.reserve(connection, commands[:1], hold_seconds=900)) == [True]
        assert firsts(service.reserve(connection, commands, hold_seconds=900)) == [False, True]
        assert firsts(service.commit(connection, both[:1])) == [True]
        assert firsts(service.commit(connection, both)) == [False, True]
        assert firsts(service.unreserve(connection, back[:1])) == [True]
        assert firsts(service.unreserve(connection, back)) == [False, True]
    assert inventario.stock(product) == (10, 0, 0)


def test_steps_of_one_saga_in_one_request_are_done_one_after_the_other(inventario: Inventario) -> None:
    product, saga = inventario.add(10), Saga()
    first, commit, again = inventario.many(
        (RESERVE, saga.wants({product: 2})), (COMMIT, saga.body), (RESERVE, saga.wants({product: 2}))
    )
    assert statuses([first, commit, again]) == [201, 200, 201]
    assert inventario.stock(product) == (8, 0, 2)


@pytest.mark.parametrize(
    "body",
    [{}, {"commands": []}, {"commands": [{"path": RESERVE}]}, {"commands": [{"path": COMMIT, "body": {}}] * 101}],
)
def test_a_request_that_is_no_list_of_commands_is_refused(inventario: Inventario, body: dict[str, Any]) -> None:
    assert problem_of(inventario.post("/saga-commands", body))["status"] == 422


def test_a_hundred_commands_of_many_lines_fit_in_one_request(inventario: Inventario) -> None:
    products = [inventario.add(1000) for _ in range(3)]
    wanted = {saga: dict.fromkeys(products, 1) for saga in sagas(100)}
    assert statuses(reserve(inventario, wanted)) == [201] * 100
    assert [inventario.stock(product) for product in products] == [(900, 100, 0)] * 3


def test_without_a_database_nothing_is_answered_for_anybody(service_client: ServiceClient) -> None:
    inventario = Inventario(service_client("inventario", "postgresql://nobody@127.0.0.1:1/none"))
    body = {"commands": [{"path": COMMIT, "body": {"cart_id": str(new_id())}}] * 2}
    response = inventario.client.post("/saga-commands", data=dumps(body), content_type="application/json")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")


# Concurrently.


def test_many_at_once_hold_a_hot_product_exactly_as_often_as_there_is(inventario: Inventario) -> None:
    product = inventario.add(100)
    batches = [partial(reserve, inventario, {saga: {product: 1} for saga in sagas(20)}) for _ in range(8)]
    outcomes = [outcome for batch in concurrently(*batches) for outcome in batch]
    assert Counter(statuses(outcomes)) == {201: 100, 409: 60}
    assert inventario.stock(product) == (0, 100, 0)


def test_the_same_sagas_in_batches_in_any_order_hold_once(inventario: Inventario) -> None:
    product = inventario.add(100)
    for _ in range(5):
        wanted = {saga: {product: 1} for saga in sagas(8)}
        orders = [dict(random.sample(list(wanted.items()), k=8)) for _ in range(6)]
        before = inventario.stock(product)[0]
        answers = concurrently(*[partial(reserve, inventario, order) for order in orders])
        assert {status for outcomes in answers for status in statuses(outcomes)} == {201}
        assert inventario.stock(product)[0] == before - 8


def test_batches_of_every_step_over_the_same_products_never_deadlock_and_lose_nothing(hasty: Inventario) -> None:
    """Batches and single requests, products and sagas in all orders, while holds are swept."""
    products = [hasty.add(10_000) for _ in range(6)]
    reserved: dict[Saga, dict[int, int]] = {}

    def shop(number: int) -> Counter[int]:
        dice = random.Random(number)
        seen = Counter[int]()
        for _ in range(8):
            mine = sagas(6)
            wanted = {saga: dict.fromkeys(dice.sample(products, k=3), 1) for saga in mine}
            again = dict(dice.sample(list(reserved.items()), k=min(6, len(reserved))))
            outcomes = reserve(hasty, {**wanted, **again})
            seen.update(statuses(outcomes))
            assert statuses(outcomes[:6]) == [201] * 6
            reserved.update(wanted)
            theirs = dice.sample(list(reserved), k=6)
            mixed = [(dice.choice([COMMIT, UNRESERVE]), saga.body) for saga in theirs]
            seen.update(statuses(hasty.many(*mixed)))
            seen[hasty.reserve(Saga(), dict.fromkeys(reversed(products), 1)).status_code] += 1
            with hasty.client.application.app_context():
                run_once()
        return seen

    seen = sum(concurrently(*[partial(shop, number) for number in range(8)]), Counter[int]())
    assert set(seen) == {200, 201, 409}
    assert hasty.books_balance()
    step_back = [saga for saga in reserved if set(hasty.statuses(saga)) == {"committed"}]
    for start in range(0, len(step_back), 50):
        step(hasty, UNRESERVE, step_back[start : start + 50])
    with hasty.client.application.app_context():
        while run_once():
            pass
    assert [hasty.stock(product) for product in products] == [(10_000, 0, 0)] * 6


def test_no_step_reads_a_whole_table_on_a_connection_that_has_known_it_empty(
    service_client: ServiceClient, fresh_database_url: str
) -> None:
    """PostgreSQL keeps the plans of prepared statements, and for an empty table a sequential scan is best."""
    inventario = Inventario(service_client("inventario", fresh_database_url, web_threads=1))
    product = inventario.add(1_000_000)
    for _ in range(10):  # more than PostgreSQL needs to choose a generic plan
        steps(inventario, sagas(2), product)
    with inventario.transaction() as connection:
        connection.exec_driver_sql(
            "INSERT INTO reservations (saga_id, cart_id, expires_at, status)"
            " SELECT gen_random_uuid(), gen_random_uuid(), now(), 'released' FROM generate_series(1, 20000)"
        )
    assert steps(inventario, sagas(2), product) == []


def steps(inventario: Inventario, some: Sequence[Saga], product: int) -> list[str]:
    """Request every step of these sagas; return the tables that were read completely."""
    commands = [Reserve(saga.saga_id, saga.cart_id, {product: 1}) for saga in some]
    ids = [Sell(saga.saga_id) for saga in some]
    with inventario.transaction() as connection:
        service.reserve(connection, commands, hold_seconds=900)
        service.reserve(connection, commands, hold_seconds=900)
        service.commit(connection, ids)
        service.cancel(connection, [Cancel(each.saga_id, only_before_pivot=False) for each in ids])
        service.unreserve(connection, [Unreserve(each.saga_id) for each in ids])
        return list(connection.scalars(text("SELECT relname FROM pg_stat_xact_user_tables WHERE seq_scan > 0")))

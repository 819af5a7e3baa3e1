"""The stock movements of a saga, as inventario shows them for a receipt."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from inventario import service
from inventario.domain import Sell
from shared.ids import new_id
from tests.integration.api_client import body_of
from tests.integration.inventario_client import PRODUCTS, Inventario, Saga

OVER_AT_ONCE = 1e-6  # the lifetime of a hold that a test wants to expire

TAKEN, SOLD = ("reserve", "available", "held"), ("commit", "held", "sold")
LET_GO, TAKEN_BACK = ("release", "held", "available"), ("release", "sold", "available")


@pytest.fixture
def inventario(service_client: Callable[..., FlaskClient]) -> Inventario:
    return Inventario(service_client("inventario"))


def movements(inventario: Inventario, saga: Saga) -> list[dict[str, Any]]:
    return list(body_of(inventario.get(f"{PRODUCTS}/movements/{saga.saga_id}"))["items"])


def shelves(inventario: Inventario, saga: Saga) -> list[tuple[str, str, str]]:
    return [(each["kind"], each["from_shelf"], each["to_shelf"]) for each in movements(inventario, saga)]


def test_what_is_sold_was_held_before(inventario: Inventario) -> None:
    product, saga = inventario.add(10, price="2.50"), Saga()
    inventario.reserve(saga, {product: 3})
    inventario.commit(saga)
    assert shelves(inventario, saga) == [TAKEN, SOLD]
    told = movements(inventario, saga)
    assert {(each["product_id"], each["quantity"], str(each["unit_price"])) for each in told} == {(product, 3, "2.50")}
    times = [datetime.fromisoformat(each["moved_at"]) for each in told]
    assert times == sorted(times)


def test_what_was_held_or_sold_comes_back_to_the_shelf_from_there(inventario: Inventario) -> None:
    product, held, sold = inventario.add(10), Saga(), Saga()
    for saga in (held, sold):
        inventario.reserve(saga, {product: 1})
    inventario.commit(sold)
    for saga in (held, sold, sold):
        inventario.unreserve(saga)
    assert shelves(inventario, held) == [TAKEN, LET_GO]
    assert shelves(inventario, sold) == [TAKEN, SOLD, TAKEN_BACK]


def test_a_hold_that_is_over_came_back_when_it_was_swept_and_not_when_somebody_was_told(
    service_client: Callable[..., FlaskClient],
) -> None:
    hasty = Inventario(service_client("inventario", hold_seconds=OVER_AT_ONCE))
    product, saga = hasty.add(10), Saga()
    hasty.reserve(saga, {product: 1})
    with hasty.transaction() as connection:
        service.expire_holds(connection, limit=100)
    swept = movements(hasty, saga)
    assert shelves(hasty, saga) == [TAKEN, LET_GO]
    assert hasty.commit(saga).status_code == 409
    assert movements(hasty, saga) == swept


def test_each_line_of_a_reservation_moves(inventario: Inventario) -> None:
    first, second, saga = inventario.add(10), inventario.add(10), Saga()
    inventario.reserve(saga, {second: 2, first: 1})
    inventario.commit(saga)
    told = [(each["kind"], each["product_id"], each["quantity"]) for each in movements(inventario, saga)]
    assert told == [(kind, *line) for kind in ("reserve", "commit") for line in ((first, 1), (second, 2))]


def test_what_an_older_version_did_not_keep_is_not_known(inventario: Inventario) -> None:
    """A sale without a stored time, and its return by this version."""
    product, saga = inventario.add(10), Saga()
    inventario.reserve(saga, {product: 1})
    inventario.commit(saga)
    with inventario.transaction() as connection:
        forget = text("UPDATE inventario.reservations SET committed_at = NULL WHERE saga_id = :saga")
        connection.execute(forget, {"saga": saga.saga_id})
    assert (shelves(inventario, saga)[-1], movements(inventario, saga)[-1]["moved_at"]) == (SOLD, None)
    inventario.unreserve(saga)
    last = movements(inventario, saga)[-1]
    assert (last["kind"], last["from_shelf"], last["to_shelf"], last["moved_at"]) == (
        "release",
        None,
        "available",
        None,
    )


def test_an_order_that_comes_after_its_sale_does_not_change_when_that_was(inventario: Inventario) -> None:
    product, saga = inventario.add(10), Saga()
    inventario.reserve(saga, {product: 2})
    inventario.commit(saga)
    before = movements(inventario, saga)
    with inventario.transaction() as connection:
        service.commit(connection, [Sell(saga.saga_id, order_id=new_id())])
    assert movements(inventario, saga) == before


def test_a_saga_that_reserved_nothing_moved_nothing(inventario: Inventario) -> None:
    assert body_of(inventario.get(f"{PRODUCTS}/movements/{new_id()}")) == {"items": []}

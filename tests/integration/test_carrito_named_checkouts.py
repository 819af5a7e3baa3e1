"""A saga service reads a checkout that was handed over to it by the command that freezes a cart."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from shared.ids import new_id
from tests.integration.api_client import body_of, problem_of
from tests.integration.carrito_client import USER, Carrito, Saga

REQUEST = {"user_id": USER, "payment_method": "paypal", "billing_address": "here", "saga_pattern": "orchestrated"}


@pytest.fixture
def carrito(service_client: Callable[..., FlaskClient]) -> Carrito:
    return Carrito(service_client("carrito"))


def command(cart_id: UUID, saga_id: UUID | None = None, **changes: Any) -> tuple[str, dict[str, Any]]:
    return f"/carts/{cart_id}/checkout", {**REQUEST, "saga_id": saga_id, **changes}


def test_it_is_told_what_was_frozen_for_the_saga_and_nothing_is_frozen(carrito: Carrito) -> None:
    saga = carrito.saga_of(carrito.open_cart((1, 2)))
    path, body = command(saga.cart_id, saga.saga_id)
    response = carrito.post(path, body)
    assert response.status_code == 200
    told = body_of(response)
    assert told == body_of(carrito.get(f"/checkouts/{saga.saga_id}"))
    assert (told["saga_id"], told["order_id"], told["total"]) == (str(saga.saga_id), str(saga.order_id), 5.0)


def test_also_when_the_cart_is_open_again_or_was_sold(carrito: Carrito) -> None:
    opened, sold = (carrito.saga_of(carrito.open_cart((1, 1))) for _ in range(2))
    assert carrito.release(opened).status_code == 200
    assert carrito.order(sold).status_code == 201
    assert carrito.confirm(sold).status_code == 200
    outcomes = carrito.many(*[command(saga.cart_id, saga.saga_id) for saga in (opened, sold)])
    assert [(each["status"], each["body"]["saga_id"]) for each in outcomes] == [
        (200, str(saga.saga_id)) for saga in (opened, sold)
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("user_id", "eve"),
        ("payment_method", "wallet"),
        ("billing_address", "there"),
        ("saga_pattern", "choreographed"),
        ("cart_id", None),
    ],
)
def test_a_request_that_differs_is_refused_by_the_field(carrito: Carrito, field: str, value: str | None) -> None:
    saga = carrito.saga_of(carrito.open_cart((1, 1)))
    if field == "cart_id":
        path, body = command(carrito.open_cart((1, 1)), saga.saga_id)
    else:
        path, body = command(saga.cart_id, saga.saga_id, **{field: value})
    problem = problem_of(carrito.post(path, body))
    assert (problem["status"], problem["type"]) == (409, "/problems/repeated-otherwise")
    assert (problem["field"], problem["saga_id"]) == (field, str(saga.saga_id))


def test_the_saga_of_an_order_without_a_checkout_is_no_checkout_s(carrito: Carrito) -> None:
    saga = Saga(carrito.open_cart((1, 1)), new_id())
    assert carrito.order(saga).status_code == 201
    problem = problem_of(carrito.post(*command(saga.cart_id, saga.saga_id)))
    assert (problem["status"], problem["field"]) == (409, "saga_pattern")


def test_known_unknown_and_new_ones_are_answered_together(carrito: Carrito) -> None:
    known, open_cart, unknown = carrito.saga_of(carrito.open_cart((1, 1))), carrito.open_cart((2, 1)), new_id()
    outcomes = carrito.many(
        command(known.cart_id, known.saga_id), command(open_cart), command(carrito.open_cart((1, 1)), unknown)
    )
    assert [each["status"] for each in outcomes] == [200, 201, 404]
    assert outcomes[0]["body"]["saga_id"] == str(known.saga_id)
    assert outcomes[1]["body"]["id"] == str(open_cart)
    assert outcomes[2]["body"]["type"] == "/problems/checkout-not-found"
    assert carrito.cart(open_cart)["status"] == "checking_out"

"""Requests that do not fit are refused with the name of the field, and store nothing."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from pagos.models import metadata
from shared.json_codec import dumps
from shared.money import MAX_MINOR
from tests.integration.pagos_client import Pagos, new_user

PAYMENTS, SAGA_PAYMENTS = "/api/v1/payments", "/api/v1/payments/saga"
DEPOSITS = "/api/v1/wallets/ana/deposits"
CART = "01a206eb-175d-7018-955f-f70460c031b0"
REFUND = f"/api/v1/payments/saga/{CART}/refund"
BODIES: dict[str, dict[str, Any]] = {
    PAYMENTS: {"merchant_id": "m-1", "order_id": "o-1", "amount": 10, "payment_method": "paypal"},
    SAGA_PAYMENTS: {"cart_id": CART, "user_id": "ana", "amount": 10, "payment_method": "paypal"},
    DEPOSITS: {"amount": 10},
    REFUND: {"saga_id": CART},
}
BAD_AMOUNTS = [
    "0",
    "0.00",
    "-1",
    "-0.01",
    "0.001",
    "10.005",
    "1e-3",
    str(MAX_MINOR // 100 + 1),
    "1e30",
    "1e400",
    "9" * 400,
    "true",
    "false",
    "null",
    "[]",
    "{}",
    "[10]",
    '""',
    '" "',
    '"ten"',
    '"10,00"',
    '"€10"',
    '"10.005"',
    '"-10"',
    '"0"',
    '"NaN"',
    '"Infinity"',
    '"1e999999999"',
    '"0x10"',
    '"10\\u0000"',
]
BAD_IDS = ["1", "null-and-void", "''", "%00", "01a206eb-175d-7018-955f", f"{CART}0"]
BAD_USERS = ["a" * 65, "a%20b", "a%2Fb", "%C3%A9", "a;b"]


@pytest.fixture
def pagos(service_client: Callable[..., FlaskClient]) -> Pagos:
    return Pagos(service_client("pagos"))


@pytest.fixture(autouse=True)
def _nothing_is_stored(pagos: Pagos) -> Iterator[None]:
    before = _rows(pagos)
    yield
    assert _rows(pagos) == before


def _rows(pagos: Pagos) -> dict[str, Any]:
    with pagos.transaction() as connection:
        return {
            name: connection.scalar(select(func.count()).select_from(table)) for name, table in metadata.tables.items()
        }


def assert_refused(response: Any, status: int, *fields: str) -> None:
    """Check that it is a problem with this status that names these fields."""
    assert response.status_code == status
    assert response.mimetype == "application/problem+json"
    problem = response.json
    assert problem["status"] == status
    if fields:
        assert sorted(each["field"] for each in problem["errors"]) == sorted(fields)


@pytest.mark.parametrize("amount", BAD_AMOUNTS)
@pytest.mark.parametrize("path", [PAYMENTS, SAGA_PAYMENTS, DEPOSITS])
def test_what_is_no_amount(pagos: Pagos, path: str, amount: str) -> None:
    body = dumps(BODIES[path] | {"amount": "AMOUNT"}).replace('"AMOUNT"', amount)
    assert_refused(pagos.post_raw(path, body), 422, "amount")


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "-Infinity", "01", "1.", ".5", "+1", "0x10", "1_000", "ten"])
@pytest.mark.parametrize("path", [PAYMENTS, SAGA_PAYMENTS, DEPOSITS])
def test_what_is_no_json_number(pagos: Pagos, path: str, amount: str) -> None:
    body = dumps(BODIES[path] | {"amount": "AMOUNT"}).replace('"AMOUNT"', amount)
    assert_refused(pagos.post_raw(path, body), 400)


@pytest.mark.parametrize("method", ["bitcoin", "", "CREDIT_CARD", "credit_card ", None, 1, True, ["paypal"]])
@pytest.mark.parametrize("path", [PAYMENTS, SAGA_PAYMENTS])
def test_an_unknown_method(pagos: Pagos, path: str, method: object) -> None:
    assert_refused(pagos.post(path, BODIES[path] | {"payment_method": method}), 422, "payment_method")


@pytest.mark.parametrize("field", ["merchant_id", "order_id"])
@pytest.mark.parametrize("value", ["", "a" * 65, None, 7, True, [], "a\x00b", "\ud800"])
def test_a_reference_that_is_no_short_text(pagos: Pagos, field: str, value: object) -> None:
    body = dumps(BODIES[PAYMENTS] | {field: value})
    assert_refused(pagos.post_raw(PAYMENTS, body), 422, field)


@pytest.mark.parametrize("value", ["", "a" * 65, "a b", "a/b", "é", "ana\n", "\x00", 7, True, []])
@pytest.mark.parametrize("path", [PAYMENTS, SAGA_PAYMENTS])
def test_what_is_no_user(pagos: Pagos, path: str, value: object) -> None:
    assert_refused(pagos.post(path, BODIES[path] | {"user_id": value}), 422, "user_id")


@pytest.mark.parametrize(
    ("path", "field"),
    [(SAGA_PAYMENTS, "saga_id"), (SAGA_PAYMENTS, "cart_id"), (SAGA_PAYMENTS, "payment_id"), (REFUND, "saga_id")],
)
@pytest.mark.parametrize("value", ["", "1", 1, True, [], {}, "01a206eb-175d-7018-955f", f"{CART}0", "\x00"])
def test_what_is_no_id(pagos: Pagos, path: str, field: str, value: object) -> None:
    assert_refused(pagos.post(path, BODIES[path] | {field: value}), 422, field)


@pytest.mark.parametrize("value", ["a" * 501, 7, True, [], "a\x00b"])
def test_a_reason_that_is_no_text(pagos: Pagos, value: object) -> None:
    assert_refused(pagos.post(REFUND, BODIES[REFUND] | {"reason": value}), 422, "reason")


@pytest.mark.parametrize("path", [PAYMENTS, SAGA_PAYMENTS, DEPOSITS])
def test_missing_fields_are_all_named(pagos: Pagos, path: str) -> None:
    assert_refused(pagos.post(path, {}), 422, *BODIES[path])


@pytest.mark.parametrize("currency", ["eur", "EURO", "E", "", 978, "E\u20ac\u20ac"])
def test_a_currency_that_is_none(pagos: Pagos, currency: object) -> None:
    path = "/api/v1/payments/saga"
    assert_refused(pagos.post(path, BODIES[path] | {"currency": currency}), 422, "currency")


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("field", ["fee", "status", "id", "Amount", "__class__"])
def test_an_unknown_field(pagos: Pagos, path: str, field: str) -> None:
    assert_refused(pagos.post(path, BODIES[path] | {field: "EUR"}), 422, field)


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    "raw",
    [
        "{",
        '{"amount": 1, "amount": 2}',
        '{"a": {"b": 1, "\\u0062": 2}}',
        '{"amount":}',
        "{'amount': 10}",
        "\x00",
        '{"amount": 10}}',
        "[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_malformed_json(pagos: Pagos, path: str, raw: str | bytes) -> None:
    assert_refused(pagos.post_raw(path, raw), 400)


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("raw", ["[]", "[{}]", '"text"', "10", "null", "true"])
def test_json_that_is_no_object(pagos: Pagos, path: str, raw: str) -> None:
    assert_refused(pagos.post_raw(path, raw), 422)


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    "content_type", [None, "", "text/plain", "application/x-www-form-urlencoded", "text/json", "nonsense"]
)
def test_another_content_type(pagos: Pagos, path: str, content_type: str | None) -> None:
    assert_refused(pagos.post_raw(path, dumps(BODIES[path]), content_type), 415)


@pytest.mark.parametrize("path", BODIES)
def test_ten_megabytes(pagos: Pagos, path: str) -> None:
    body = dumps(BODIES[path])
    assert_refused(pagos.post_raw(path, body + " " * (10_000_000 - len(body))), 413)


@pytest.mark.parametrize("bad", BAD_IDS)
def test_a_path_with_what_is_no_id(pagos: Pagos, bad: str) -> None:
    assert_refused(pagos.post(f"/api/v1/payments/saga/{bad}/refund", {"saga_id": CART}), 422, "payment_id")
    assert_refused(pagos.get(f"/api/v1/payments/saga/{bad}"), 422, "cart_id")


@pytest.mark.parametrize("bad", [user for user in BAD_USERS if "%2F" not in user])
def test_a_path_with_what_is_no_user(pagos: Pagos, bad: str) -> None:
    assert_refused(pagos.get(f"/api/v1/wallets/{bad}"), 422, "user_id")
    assert_refused(pagos.post(f"/api/v1/wallets/{bad}/deposits", {"amount": 1}), 422, "user_id")


@pytest.mark.parametrize("key", ["", "a" * 201, "two words", '"', '""', "é"])
@pytest.mark.parametrize("path", [PAYMENTS, SAGA_PAYMENTS, DEPOSITS])
def test_what_is_no_idempotency_key(pagos: Pagos, path: str, key: str) -> None:
    assert_refused(pagos.post(path, BODIES[path], key), 422)


def test_reading_stores_nothing(pagos: Pagos) -> None:
    assert pagos.get(f"/api/v1/payments/saga/{CART}").status_code == 200
    assert pagos.get(f"/api/v1/wallets/{new_user()}").status_code == 404
    assert pagos.get("/audit").status_code == 200
    assert pagos.get("/health").status_code == 200

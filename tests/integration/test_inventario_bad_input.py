"""Requests that do not fit are refused with the name of the field, and store nothing."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from inventario.models import metadata
from tests.integration.api_client import problem_of
from tests.integration.inventario_client import COMMIT, PRODUCTS, RESERVE, UNRESERVE, Inventario

CART = "01a206eb-175d-7018-955f-f70460c031b0"

# As JSON text, since much of it cannot be made from Python values.
BAD_COUNTS = [
    "-1",
    "1000001",
    "1e30",
    "1e999999",
    "9" * 400,
    "1.5",
    "true",
    "false",
    "null",
    '"3"',
    '"three"',
    "[]",
    "{}",
    "[1]",
]
BAD_AMOUNTS = [
    "0",
    "0.00",
    "-1",
    "-0.01",
    "0.001",
    "10.005",
    "1e-3",
    "1000000000.01",
    "1e30",
    "1e400",
    "9" * 400,
    "true",
    "null",
    "[]",
    "{}",
    '""',
    '" "',
    '"ten"',
    '"10,00"',
    '"10.005"',
    '"-10"',
    '"0"',
    '"NaN"',
    '"Infinity"',
    '"1e999999999"',
    '"0x10"',
    '" 10"',
    '"10\\n"',
    '"1_0"',
    '"1e1"',
    '"\\u0661"',
    '"1000000000.01"',
    '"10."',
    '".5"',
    '"+1"',
]
BAD_TEXTS = ["null", "1", "true", "[]", "{}", '"a\\u0000b"', '"\\ud800"', '"\\udfff tail"']
BAD_PRODUCT_IDS = [
    "0",
    "-1",
    "1000000000",
    "2147483648",
    "9" * 400,
    "1e999999",
    "1.5",
    "true",
    "null",
    "[]",
    "{}",
    '""',
    '"0"',
    '"01"',
    '"-1"',
    '"1.0"',
    '" 1"',
    '"1 "',
    '"\\u0661"',
    '"\\u00b2"',
    '"1\\u0000"',
    '"abc"',
]
BAD_IDS = ["1", "true", "[]", "{}", '""', '"1"', '"x"', f'"{CART}0"', f'"{CART[:-1]}g"', '"\\u0000"']
BAD_ITEMS = [
    "[]",
    "{}",
    '"1"',
    "1",
    "[1]",
    "[[]]",
    "[null]",
    "[" + ",".join(['{"product_id":1,"quantity":1}'] * 101) + "]",
]

# A body that fits, by endpoint.
RELEASE = {"saga_id": f'"{CART}"', "cart_id": f'"{CART}"'}
RESTOCK = f"{PRODUCTS}/1/restock"
BODIES: dict[str, dict[str, str]] = {
    PRODUCTS: {"name": '"n"', "description": '"d"', "price": "10", "quantity": "1", "category": '"c"', "sku": '"s"'},
    RESTOCK: {"quantity": "1"},
    RESERVE: {**RELEASE, "items": '[{"product_id": 1, "quantity": 1}]'},
    UNRESERVE: RELEASE,
    COMMIT: RELEASE,
}

WRONG: list[tuple[str, str, list[str]]] = [
    (PRODUCTS, "name", [*BAD_TEXTS, '""', '"' + "x" * 201 + '"']),
    (PRODUCTS, "description", [*BAD_TEXTS, '"' + "x" * 2001 + '"']),
    (PRODUCTS, "category", [*BAD_TEXTS, '"' + "x" * 201 + '"']),
    (PRODUCTS, "sku", [*BAD_TEXTS, '""', '"' + "x" * 65 + '"']),
    (PRODUCTS, "price", BAD_AMOUNTS),
    (PRODUCTS, "quantity", BAD_COUNTS),
    (RESTOCK, "quantity", ["0", *BAD_COUNTS]),
    (RESERVE, "items", ["null", *BAD_ITEMS]),
    (UNRESERVE, "items", BAD_ITEMS[2:]),
    (COMMIT, "items", BAD_ITEMS[2:]),
    *((endpoint, "cart_id", ["null", *BAD_IDS]) for endpoint in (RESERVE, UNRESERVE, COMMIT)),
    *((endpoint, "saga_id", BAD_IDS) for endpoint in (RESERVE, UNRESERVE, COMMIT)),
    *((endpoint, "surprise", ["1"]) for endpoint in BODIES),
]
WRONG_IN_LINES = [
    ("product_id", '{"product_id": %s, "quantity": 1}', BAD_PRODUCT_IDS),
    ("quantity", '{"product_id": 1, "quantity": %s}', ["0", *BAD_COUNTS]),
    ("surprise", '{"product_id": 1, "quantity": 1, "surprise": %s}', ["1"]),
]


def cases() -> Iterator[Any]:
    """Yield endpoint, body, and the field that the problem must name."""
    for endpoint, field, values in WRONG:
        for value in values:
            yield case(endpoint, {**BODIES[endpoint], field: value}, field, f"{field}: {value}")
    for field, line, values in WRONG_IN_LINES:
        for value in values:
            items = f'[{{"product_id": 1, "quantity": 1}}, {line % value}]'
            yield case(RESERVE, {**BODIES[RESERVE], "items": items}, f"items.1.{field}", f"line's {field}: {value}")
    for endpoint, fields in BODIES.items():
        for missing in sorted(fields.keys() - {"saga_id", "description", "category"}):
            rest = {name: value for name, value in fields.items() if name != missing}
            yield case(endpoint, rest, missing, f"no {missing}")


def case(endpoint: str, fields: dict[str, str], named: str, what: str) -> Any:
    return pytest.param(endpoint, text_of(fields), named, id=f"{endpoint.rpartition('/')[2]} {what}"[:60])


def text_of(fields: dict[str, str]) -> str:
    return "{" + ", ".join(f'"{name}": {value}' for name, value in fields.items()) + "}"


def shortened(value: object) -> str:
    return str(value)[:60]


@pytest.fixture
def inventario(service_client: Callable[..., FlaskClient]) -> Iterator[Inventario]:
    """A client; the test must not change anything in inventario."""
    client = Inventario(service_client("inventario"))
    before = contents(client)
    yield client
    assert contents(client) == before


def contents(inventario: Inventario) -> tuple[object, list[int]]:
    """Return the audit, and the number of rows of each table."""
    with inventario.transaction() as connection:
        rows = [connection.scalar(select(func.count()).select_from(table)) or 0 for table in metadata.sorted_tables]
    return inventario.audit(), rows


@pytest.mark.parametrize(("endpoint", "body", "field"), list(cases()))
def test_a_field_that_does_not_fit_is_named(inventario: Inventario, endpoint: str, body: str, field: str) -> None:
    problem = problem_of(inventario.post_raw(endpoint, body.encode()))
    assert problem["status"] == 422
    named = [error["field"] for error in problem["errors"]]
    assert [name for name in named if name == field or name.startswith(f"{field}.")], named
    assert field.partition(".")[0] in problem["detail"]


def test_every_field_that_does_not_fit_is_named_at_once(inventario: Inventario) -> None:
    body = {"name": "", "price": -1, "quantity": -1, "sku": "s", "other": 1}
    problem = problem_of(inventario.post(PRODUCTS, body))
    assert {error["field"] for error in problem["errors"]} == {"name", "price", "quantity", "other"}


@pytest.mark.parametrize("endpoint", BODIES)
@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"nonsense",
        b"{'quantity': 1}",
        b'{"quantity": 1,}',
        b'{"quantity": NaN}',
        b'{"quantity": Infinity}',
        b'{"quantity": -Infinity}',
        b'{"quantity": 01}',
        b'{"quantity": 1} {}',
        b'{"quantity": "\x01"}',
        b'\xff\xfe{"quantity": 1}',
        b'{"quantity": "\xe9"}',
        b"\x00",
        b" ",
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b'{"quantity": ' + b"[" * 400_000 + b"]" * 400_000 + b"}",
        b'{"quantity": ' + b"9" * 900_000 + b"}",
    ],
    ids=shortened,
)
def test_malformed_json_is_refused(inventario: Inventario, endpoint: str, data: bytes) -> None:
    assert problem_of(inventario.post_raw(endpoint, data))["status"] == 400


@pytest.mark.parametrize("endpoint", BODIES)
@pytest.mark.parametrize("data", [b"[]", b'["quantity"]', b'"quantity"', b"1", b"1.5", b"null", b"true"])
def test_json_that_is_no_object_is_refused(inventario: Inventario, endpoint: str, data: bytes) -> None:
    assert problem_of(inventario.post_raw(endpoint, data))["status"] == 422


@pytest.mark.parametrize("endpoint", BODIES)
@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "json",
        "multipart/form-data; boundary=x",
    ],
)
def test_another_content_type_is_refused(inventario: Inventario, endpoint: str, content_type: str | None) -> None:
    body = text_of(BODIES[endpoint]).encode()
    assert problem_of(inventario.post_raw(endpoint, body, content_type))["status"] == 415


@pytest.mark.parametrize("endpoint", BODIES)
def test_a_body_of_ten_megabytes_is_refused(inventario: Inventario, endpoint: str) -> None:
    body = text_of({**BODIES[endpoint], "surprise": '"' + "x" * 10_000_000 + '"'})
    assert problem_of(inventario.post_raw(endpoint, body.encode()))["status"] == 413


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", PRODUCTS, {"GET", "POST"}),
        ("PUT", f"{PRODUCTS}/1", {"GET"}),
        ("PATCH", f"{PRODUCTS}/1", {"GET"}),
        ("GET", f"{PRODUCTS}/1/restock", {"POST"}),
        ("PUT", RESERVE, {"POST"}),
        ("GET", RESERVE, {"POST"}),
        ("GET", COMMIT, {"POST"}),
        ("DELETE", COMMIT, {"POST"}),
        ("POST", f"{PRODUCTS}/reservations/{CART}", {"GET"}),
        ("BREW", PRODUCTS, {"GET", "POST"}),
        ("POST", "/audit", {"GET"}),
        ("POST", "/health", {"GET"}),
    ],
)
def test_an_unknown_method_is_told_those_there_are(
    inventario: Inventario, method: str, path: str, allowed: set[str]
) -> None:
    response = inventario.client.open(path, method=method)
    assert problem_of(response)["status"] == 405
    assert set(response.headers["Allow"].split(", ")) - {"HEAD", "OPTIONS"} == allowed


@pytest.mark.parametrize("path", ["/nowhere", "/api", f"{PRODUCTS}/1/nowhere", "/%00", "/%ff"])
def test_an_unknown_path_is_not_found(inventario: Inventario, path: str) -> None:
    assert problem_of(inventario.get(path))["status"] == 404


@pytest.mark.parametrize(
    "product_id",
    ["0", "-1", "1.0", "abc", "01", "2147483648", "9" * 400, "%00", "%20", "1%00", "%C2%B2", "%FF", "null", "1;2"],
)
def test_a_product_id_that_is_none_is_named(inventario: Inventario, product_id: str) -> None:
    for response in (
        inventario.get(f"{PRODUCTS}/{product_id}"),
        inventario.post(f"{PRODUCTS}/{product_id}/restock", {"quantity": 1}),
    ):
        problem = problem_of(response)
        assert (problem["status"], problem["errors"][0]["field"]) == (422, "product_id")


@pytest.mark.parametrize("cart_id", ["1", "x", f"{CART}0", "%00", "%FF", "null", CART[:-1]])
def test_a_cart_id_that_is_none_is_named(inventario: Inventario, cart_id: str) -> None:
    problem = problem_of(inventario.get(f"{PRODUCTS}/reservations/{cart_id}"))
    assert (problem["status"], problem["errors"][0]["field"]) == (422, "cart_id")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=-1", "limit"),
        ("limit=x", "limit"),
        ("limit=", "limit"),
        ("limit=1.5", "limit"),
        ("limit=%00", "limit"),
        ("after=-1", "after"),
        ("after=2147483648", "after"),
        ("after=" + "9" * 400, "after"),
        ("surprise=1", "surprise"),
    ],
)
def test_a_query_that_does_not_fit_is_named(inventario: Inventario, query: str, field: str) -> None:
    problem = problem_of(inventario.get(f"{PRODUCTS}?{query}"))
    assert (problem["status"], problem["errors"][0]["field"]) == (422, field)


def test_an_empty_body_lacks_what_is_needed(inventario: Inventario) -> None:
    problem = problem_of(inventario.post_raw(RESERVE, b"", None))
    assert (problem["status"], {error["field"] for error in problem["errors"]}) == (422, {"cart_id", "items"})

"""Receipts, balanced or not, as a page, as JSON and as CSV."""

import csv
from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal
from typing import Any

import pytest
from flask.testing import FlaskClient

from dashboard.app import create_app
from dashboard.config import Settings
from dashboard.receipt import receipt_of
from dashboard.receipt_files import as_csv
from dashboard.words import State
from shared.json_codec import loads
from tests.unit.dashboard.answering import Service, serving
from tests.unit.dashboard.receipts import (
    HERE,
    LET_GO,
    ORDER,
    RECEIPTS,
    REFUNDED,
    RESERVED,
    SAGA,
    SOLD,
    TAKEN_BACK,
    booked,
    order,
    page_of,
    saga,
)
from tests.unit.dashboard.text import HOSTILE, Text

each_receipt = pytest.mark.parametrize("name", RECEIPTS)
SETTLED = [name for name, receipt in RECEIPTS.items() if receipt.state is State.DONE]
NAMES = ("carrito", "inventario", "pagos", "orchestrator", "choreography")
PATH = f"/orders/{ORDER}/receipt"

Services = dict[str, Service]


def plain(value: Any) -> Any:
    """Convert a value to what a test's service can send."""
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return float(value) if isinstance(value, Decimal) else value


@pytest.fixture
def services() -> Iterator[Services]:
    """Services that know one confirmed order."""
    answers: dict[str, dict[str, Any]] = {
        "carrito": {f"/orders/{ORDER}": order()},
        "pagos": {f"/api/v1/ledger/sagas/{SAGA}": {"items": [booked()]}},
        "inventario": {f"/api/products/movements/{SAGA}": {"items": [*RESERVED, *SOLD]}},
        "orchestrator": {f"/saga/{SAGA}": saga("completed")},
        "choreography": {},
    }
    with ExitStack() as stack:
        yield {name: stack.enter_context(serving(plain(answers[name]))) for name in NAMES}


@pytest.fixture
def viewer(services: Services) -> FlaskClient:
    urls: dict[str, Any] = {
        f"{name}_service_url" if name in {"carrito", "inventario", "pagos"} else f"{name}_url": service.url
        for name, service in services.items()
    }
    return create_app(Settings(_env_file=None, **urls)).test_client()


def test_an_order_that_is_settled_adds_up_to_zero_whether_confirmed_or_undone() -> None:
    assert SETTLED == ["confirmed", "cancelled", "undone", "undone-by-an-older-version"]
    for name in SETTLED:
        assert set(RECEIPTS[name].money_sums.values()) == {Decimal("0.00")}
        assert RECEIPTS[name].stock_sums == {7: (0, 0), 9: (0, 0)}


@pytest.mark.parametrize(
    ("told", "ledger", "movements"),
    [
        (order(), [], [*RESERVED, *SOLD]),  # nothing was paid
        (order(), [booked(amount="59.87")], [*RESERVED, *SOLD]),
        (order(), [booked(), REFUNDED], [*RESERVED, *SOLD]),
        (order("cancelled"), [booked()], [*RESERVED, *LET_GO]),
        (order(), [booked()], RESERVED),  # nothing was sold, and the stock is still held
        (order(), [booked()], [*RESERVED, *SOLD, *TAKEN_BACK]),
        (order("cancelled"), [booked(), REFUNDED], [*RESERVED, *SOLD]),
        (order("cancelled"), [booked(), REFUNDED], RESERVED),
        (order(), [booked()], [*RESERVED, *SOLD[:1]]),  # one line of two was sold
    ],
)
def test_what_was_not_settled_does_not_add_up(told: Any, ledger: list[Any], movements: list[Any]) -> None:
    receipt = receipt_of(told, ledger, movements, saga("completed"))
    assert (receipt.balanced, receipt.state) == (False, State.FAILED)


def test_a_receipt_need_not_add_up_while_its_saga_is_under_way() -> None:
    receipt = RECEIPTS["under-way"]
    assert (receipt.balanced, receipt.state) == (False, State.RUNNING)
    assert receipt.stock_sums == {7: (2, 2), 9: (1, 1)}


@each_receipt
def test_a_page_is_as_it_was_when_somebody_looked(name: str) -> None:
    """`python -m tests.unit.dashboard.receipts` writes them again."""
    assert page_of(name) == (HERE / f"{name}.html").read_text()


def test_a_page_says_what_is_missing() -> None:
    said = Text(page_of("never-refunded")).text
    assert "It does not add up to zero" in said
    assert "Sum -59.88 EUR" in said
    assert "It adds up to zero" in Text(page_of("undone")).text


def test_a_receipt_is_read_of_the_services_and_links_to_its_saga(viewer: FlaskClient) -> None:
    answer = viewer.get(PATH)
    assert answer.status_code == 200, answer.text
    assert "It adds up to zero" in Text(answer.text).text
    assert f'href="/sagas/orchestrated/{SAGA}"' in answer.text


def test_json_has_every_line_and_the_sums(viewer: FlaskClient) -> None:
    answer = viewer.get(f"{PATH}.json")
    told = loads(answer.data)
    assert (answer.mimetype, told["balanced"], told["status"]) == ("application/json", True, "confirmed")
    assert told["sums"]["money"] == [{"currency": "EUR", "amount": Decimal("0.00")}]
    assert told["sums"]["stock"] == [{"product_id": each, "owed": 0, "held": 0} for each in (7, 9)]
    assert sum(line["amount"] for line in told["money"]) == 0
    assert [line["entry"] for line in told["money"]] == ["order", "order", "capture"]


def test_csv_has_every_line_and_the_sums(viewer: FlaskClient) -> None:
    answer = viewer.get(f"{PATH}.csv")
    assert (answer.mimetype, answer.headers["Cache-Control"]) == ("text/csv", "no-store")
    assert f'filename="receipt-{ORDER}.csv"' in answer.headers["Content-Disposition"]
    rows = list(csv.DictReader(answer.text.splitlines()))
    lines = [row for row in rows if row["entry"] != "sum"]
    assert {row["order_id"] for row in rows} == {ORDER}
    assert sum(Decimal(row["amount"]) for row in lines if row["account"] == "money") == 0
    assert sum(int(row["owed"]) for row in lines if row["account"] == "stock") == 0
    sums = [(row["amount"] or (row["owed"], row["held"])) for row in rows if row["entry"] == "sum"]
    assert sums == ["0.00", ("0", "0"), ("0", "0")]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "  =", "\t", "\r", "＝"])  # noqa: RUF001
def test_csv_has_no_cell_that_a_spreadsheet_takes_for_a_formula(start: str) -> None:
    name = f'{start}HYPERLINK("http://evil.example";"click")'
    told = order()
    told["items"][0]["name"] = name
    for row in csv.DictReader(as_csv(receipt_of(told, [booked()], [*RESERVED, *SOLD], None)).split("\r\n")):
        for cell in row.values():
            is_number = cell.removeprefix("-").replace(".", "").isdigit()
            assert is_number or not cell.strip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "＝"))  # noqa: RUF001


def test_whatever_people_chose_is_seen_as_text(viewer: FlaskClient, services: Services) -> None:
    told = plain(order(user_id=HOSTILE))
    told["items"][0]["name"] = HOSTILE
    services["carrito"].answers[f"/orders/{ORDER}"] = told
    page = Text(viewer.get(PATH).text)
    assert page.text.count("<script>alert(1)</script>") == 3
    assert "img" not in {tag for tag, _ in page.tags}


def test_an_order_that_nobody_knows_has_no_receipt(viewer: FlaskClient) -> None:
    nobody = f"/orders/{SAGA}/receipt"
    assert viewer.get(nobody).status_code == 404
    answer = viewer.get(f"{nobody}.json")
    assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")


@pytest.mark.parametrize("service", ["carrito", "inventario", "pagos"])
def test_without_one_of_its_services_there_is_no_receipt_and_it_is_said_whose_word_is_missing(
    viewer: FlaskClient, services: Services, service: str
) -> None:
    path = next(iter(services[service].answers))
    services[service].answers[path] = (503, {"detail": "not now"})
    page = viewer.get(PATH)
    assert (page.status_code, f"{service} should answer at" in Text(page.text).text) == (503, True)
    for end in (".json", ".csv"):
        answer = viewer.get(PATH + end)
        assert (answer.status_code, answer.mimetype) == (503, "application/problem+json")
        assert service in loads(answer.data)["detail"]


def test_while_the_saga_cannot_be_read_nothing_is_called_wrong(viewer: FlaskClient, services: Services) -> None:
    """It may be running, when a receipt need not balance."""
    services["orchestrator"].answers[f"/saga/{SAGA}"] = (503, {"detail": "not now"})
    services["pagos"].answers[f"/api/v1/ledger/sagas/{SAGA}"] = {"items": []}
    page = viewer.get(PATH).text
    assert "Not known whether it is settled" in page
    assert 'class="sum failed"' not in page
    assert 'role="alert"' not in page
    told = loads(viewer.get(f"{PATH}.json").data)
    assert (told["saga_status"], told["balanced"]) == ("not known", False)
    rows = csv.DictReader(viewer.get(f"{PATH}.csv").text.splitlines())
    assert {row["saga_status"] for row in rows} == {"not known"}
    services["orchestrator"].answers[f"/saga/{SAGA}"] = (404, {"detail": "no such saga"})
    assert "It does not add up to zero" in viewer.get(PATH).text
    assert loads(viewer.get(f"{PATH}.json").data)["saga_status"] is None


def test_a_saga_that_no_service_knows_any_more_has_a_receipt_all_the_same(
    viewer: FlaskClient, services: Services
) -> None:
    services["orchestrator"].answers.clear()
    page = viewer.get(PATH).text
    assert "It adds up to zero" in Text(page).text
    assert f'href="/search?id={SAGA}"' in page


def test_the_order_comes_first_though_it_is_made_after_it_was_paid() -> None:
    receipt = receipt_of(order(), [booked(second=1)], [*RESERVED, *SOLD], saga("completed"))
    assert [line.entry for line in receipt.money] == ["order", "order", "capture"]
    assert [line.entry for line in receipt.stock][:3] == ["order", "order", "reserve"]

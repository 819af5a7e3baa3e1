"""The dashboard on a real shop: what it shows of checkouts that end, fail and are compensated, and operators' acts."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pika
import pytest
import requests
from sqlalchemy import NullPool, create_engine, text

from shared.testing import wait_until
from shared.topology import dead_queue
from stack.processes import PROCESSES
from tests.e2e.shop import CARRITO, CHOREOGRAPHED, COMPLETED, DECLINED, HANG_SECONDS, ORCHESTRATED, QUICK, UNDONE, Shop
from tests.system.queues import Message, Queues
from tests.system.running import DASHBOARD
from tests.unit.dashboard.text import Text

STYLES = (ORCHESTRATED, CHOREOGRAPHED)
TOKEN = "operators-only"


@pytest.fixture(scope="module")
def shop_settings(broker_url: str) -> dict[str, Any]:
    """All processes, with faults; the saga services require the operator's token."""
    everything = [process.name for process in PROCESSES.values() if not process.server]
    token = {"ADMIN_TOKEN": TOKEN}
    return {
        "rabbitmq_url": broker_url,
        "processes": everything,
        "copies": {"saga_orchestrator-worker": 1},
        "env": {**QUICK, "FAULTS": "true"},
        "env_of": {"saga_orchestrator": token, "saga_choreography": token},
    }


def page(shop: Shop, path: str, status: int = 200) -> str:
    """Return the text of a page."""
    answer = requests.get(shop.system.url(DASHBOARD) + path, timeout=HANG_SECONDS)
    assert answer.status_code == status, answer.text
    return Text(answer.text).text


def markup(shop: Shop, path: str) -> str:
    """Return the markup of a page."""
    return requests.get(shop.system.url(DASHBOARD) + path, timeout=HANG_SECONDS).text


@pytest.mark.parametrize("style", STYLES)
def test_a_completed_checkout_is_seen_with_its_order_money_and_stock(shop: Shop, style: str) -> None:
    saga = shop.buy(shop.product(price="24.90"), 2, style=style)
    assert shop.became(saga) == COMPLETED
    said = page(shop, f"/sagas/{style}/{saga}")
    assert "Order confirmed" in said
    assert "Money 49.80 EUR kept 49.80 EUR taken, 0.00 EUR given back" in said
    assert "Stock sold 2 × Mug" in said  # noqa: RUF001
    assert saga in requests.get(shop.system.url(DASHBOARD), timeout=HANG_SECONDS).text
    both = page(shop, "/").split("Choreographed")
    assert re.search(r"Took p50 \d", both[STYLES.index(style)]), "it ended within the last minute"

    def drawn() -> bool:
        front = requests.get(shop.system.url(DASHBOARD), timeout=HANG_SECONDS).text.split('<section class="card style"')
        return "<polyline" in front[1 + STYLES.index(style)]

    wait_until(drawn, "the last minutes are drawn", HANG_SECONDS)


@pytest.mark.parametrize("style", STYLES)
def test_a_declined_checkout_says_why_and_that_nothing_is_left_over(shop: Shop, style: str) -> None:
    saga = shop.buy(shop.product(), method="declined_card", style=style)
    shop.ended(saga)
    said = page(shop, f"/sagas/{style}/{saga}")
    assert "the card's issuer declined it" in said
    assert "Left over nothing" in said


@pytest.mark.parametrize("style", STYLES)
def test_an_operator_undoes_a_checkout_from_its_page(shop: Shop, style: str) -> None:
    saga = shop.buy(shop.product(), style=style)
    shop.ended(saga)
    address = f"{shop.system.url(DASHBOARD)}/sagas/{style}/{saga}"
    form = {"reason": "changed <b>my</b> mind", "by": "luz"}
    with requests.Session() as browser:
        refused = browser.post(f"{address}/compensate", data=form, timeout=HANG_SECONDS)
        assert (refused.status_code, "This needs the operator's token" in Text(refused.text).text) == (401, True)
        done = browser.post(f"{address}/compensate", data={**form, "token": TOKEN}, timeout=HANG_SECONDS)
        assert (done.status_code, done.url) == (200, address)
        operations = browser.get(f"{shop.system.url(DASHBOARD)}/operations", timeout=HANG_SECONDS).text
        assert f'href="/sagas/{style}/{saga}"' in operations
        assert "changed &lt;b&gt;my&lt;/b&gt; mind" in operations
    shop.until_status(saga, "compensated")
    assert shop.became(saga) == UNDONE
    said = page(shop, f"/sagas/{style}/{saga}")
    assert "Undone by luz: changed <b>my</b> mind" in said
    assert "Left over nothing" in said


def test_one_click_has_the_same_checkout_run_in_both_styles_and_another_runs_it_again(shop: Shop) -> None:
    form = {"product": shop.product(), "quantity": 2, "method": "declined_card", "user": "ana"}
    with requests.Session() as browser:
        begun = browser.post(f"{shop.system.url(DASHBOARD)}/compare", data=form, timeout=HANG_SECONDS)
        fields = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', begun.text)
        again = browser.post(f"{shop.system.url(DASHBOARD)}/compare", data=fields, timeout=HANG_SECONDS)
    for each in (begun, again):
        assert each.status_code == 200
        path = each.url.removeprefix(shop.system.url(DASHBOARD))
        for style, saga in zip(STYLES, path.partition("?")[0].split("/")[2:], strict=True):
            shop.know(saga, style)
            assert shop.became(saga) == DECLINED
        said = page(shop, path)
        assert said.count("the card's issuer declined it") == 2
        assert "Commits of the participants 7 5 Compensations 4 2" in said
    assert begun.url.partition("?")[2] == again.url.partition("?")[2] != ""
    assert begun.url != again.url


def test_both_styles_suffer_the_fault_that_was_chosen(shop: Shop) -> None:
    fault = "create_order=refuse"
    form = {"product": shop.product(), "quantity": 1, "fault": fault}
    begun = requests.post(f"{shop.system.url(DASHBOARD)}/compare", data=form, timeout=HANG_SECONDS)
    path = begun.url.removeprefix(shop.system.url(DASHBOARD))
    for style, saga in zip(STYLES, path.partition("?")[0].split("/")[2:], strict=True):
        shop.know(saga, style)
        assert shop.became(saga).left_nothing
    assert "the order is refused: money and stock go back create_order=refuse" in page(shop, path)


def test_a_load_of_both_styles_is_started_and_stopped_and_all_its_checkouts_end(shop: Shop) -> None:
    address = f"{shop.system.url(DASHBOARD)}/load"
    form = {"do": "run", "rate": "10", "choreographed": "50", "declined": "25", "method": "wallet", "products": "hot"}
    with requests.Session() as browser:
        assert browser.post(address, data=form, timeout=HANG_SECONDS).status_code == 401
        browser.post(
            f"{shop.system.url(DASHBOARD)}/operator", data={"token": TOKEN, "next": "/load"}, timeout=HANG_SECONDS
        )
        assert browser.post(address, data=form, timeout=HANG_SECONDS).url == address
        counts = r"accepted [2-9]\d* [2-9]\d* refused 0 0 failed 0 0 accepted in, p50 \d"
        wait_until(lambda: re.search(counts, page(shop, "/load")), "both styles are accepted", HANG_SECONDS)
        browser.post(address, data={"do": "stop"}, timeout=HANG_SECONDS)
    wait_until(lambda: "0 on their way" in page(shop, "/load"), "all are answered", HANG_SECONDS)
    shop.until_quiet()
    shop.check_books()


def test_what_is_parked_is_seen_and_redriven_from_its_page(shop: Shop, shop_settings: dict[str, Any]) -> None:
    address = f"{shop.system.url(DASHBOARD)}/dead-letters"
    message = Message(b"no event", pika.BasicProperties(headers={"x-error": "ValueError: not an event"}))
    Queues(shop_settings["rabbitmq_url"]).publish(dead_queue("pagos"), message, exchange="")
    with requests.Session() as browser:
        assert browser.get(address, timeout=HANG_SECONDS).status_code == 401
        told = {"token": TOKEN, "next": "/dead-letters?service=pagos"}
        parked = browser.post(f"{shop.system.url(DASHBOARD)}/operator", data=told, timeout=HANG_SECONDS)
        assert "ValueError: not an event" in parked.text
        checkout_body = {"reason": "to see it fail again", "by": "luz"}
        done = browser.post(
            f"{address}/redrive?service=pagos&error=Not+An+Event", data=checkout_body, timeout=HANG_SECONDS
        )
        assert "1 message delivered again: 1 to pagos." in Text(done.text).text


@pytest.mark.parametrize("style", STYLES)
def test_a_fault_is_switched_on_seen_to_happen_and_switched_off(shop: Shop, style: str) -> None:
    address = f"{shop.system.url(DASHBOARD)}/faults"
    form = {"name": "unavailable", "step": "process_payment", "times": "1"}
    on = requests.post(f"{address}/pagos", data=form, timeout=HANG_SECONDS)
    assert "unavailable Take payment, 1 time for each saga" in Text(on.text).text
    saga = shop.buy(shop.product(), style=style)
    assert shop.became(saga) == COMPLETED
    off = requests.post(f"{address}/pagos/off", data=form, timeout=HANG_SECONDS).text
    assert f'href="/search?id={saga}"' in off
    assert "pagos 0 faults on" in Text(off).text


@pytest.mark.parametrize("style", STYLES)
def test_the_receipt_of_an_order_adds_up_to_zero_when_it_is_confirmed_and_when_it_is_undone(
    shop: Shop, style: str
) -> None:
    saga = shop.buy(shop.product(price="24.90"), 2, style=style)
    shop.ended(saga)
    path = re.findall(r'href="(/orders/[^"]+/receipt)"', markup(shop, f"/sagas/{style}/{saga}"))[0]
    said = page(shop, path)
    assert "It adds up to zero" in said
    assert "Paid clearing:credit_card → revenue pagos just now -49.80 EUR" in said
    told = requests.get(f"{shop.system.url(DASHBOARD)}{path}.json", timeout=HANG_SECONDS).json()
    assert [line["entry"] for line in told["stock"]] == ["order", "reserve", "commit"]
    operator = {"Authorization": f"Bearer {TOKEN}"}
    undo = shop.system.url(f"saga_{'orchestrator' if style == ORCHESTRATED else 'choreography'}")
    base = "/saga" if style == ORCHESTRATED else "/saga/choreography"
    requests.post(f"{undo}{base}/{saga}/compensate", json={}, headers=operator, timeout=HANG_SECONDS)
    shop.until_status(saga, "compensated")
    told = requests.get(f"{shop.system.url(DASHBOARD)}{path}.json", timeout=HANG_SECONDS).json()
    assert told["balanced"]
    moved = [(line["entry"], line["detail"]) for line in told["stock"] if line["service"] == "inventario"]
    assert moved[-1] == ("release", "sold → available")


def test_a_rule_that_somebody_breaks_in_the_database_is_named_with_its_saga(shop: Shop) -> None:
    saga = shop.buy(shop.product())
    assert shop.became(saga) == COMPLETED
    until_books_say(shop, "rules hold")
    with total_of_order_changed(shop, saga):
        books = until_books_say(shop, "Broken: money_is_ordered, orders_add_up, orders_are_as_frozen")
    row = books.partition('id="rule-money_is_ordered" class="failed"')[2].partition("</tr>")[0]
    assert f'href="/search?id={saga}"' in row
    assert "Captured - refunded = total of the confirmed order" in row


@contextmanager
def total_of_order_changed(shop: Shop, saga: str) -> Iterator[None]:
    """Add a cent to an order's total in the database, during the block."""
    engine = create_engine(shop.database_url, poolclass=NullPool)
    change = text("UPDATE carrito.orders SET total_minor = total_minor + :more WHERE saga_id = :saga")
    with engine.begin() as connection:
        assert connection.execute(change, {"more": 1, "saga": saga}).rowcount == 1
    yield
    with engine.begin() as connection:
        connection.execute(change, {"more": -1, "saga": saga})


def until_books_say(shop: Shop, words: str) -> str:
    """Return the page of the books when it contains these words."""

    def found() -> str:
        books = markup(shop, "/books")
        return books if words in Text(books).text else ""

    return wait_until(found, f"the books say {words!r}", HANG_SECONDS)


def test_filters_find_what_the_services_find(shop: Shop) -> None:
    saga = shop.buy(shop.product(), method="insufficient_funds")
    shop.ended(saga)
    answer = requests.get(
        f"{shop.system.url(DASHBOARD)}/?style=orchestrated&status=compensated&method=insufficient_funds&user=ana",
        timeout=HANG_SECONDS,
    )
    assert re.findall(r'href="/sagas/orchestrated/([^"]+)"', answer.text) == [saga]


def test_a_page_lives_through_the_loss_of_a_service_and_says_what_it_does_not_know(shop: Shop) -> None:
    saga = shop.buy(shop.product())
    shop.ended(saga)
    shop.system.kill(CARRITO)
    said = page(shop, f"/sagas/orchestrated/{saga}")
    assert "Order not known carrito cannot be reached" in said
    shop.system.kill("saga_orchestrator")
    assert "saga_orchestrator should answer at" in page(shop, f"/sagas/orchestrated/{saga}", 503)
    assert "saga_orchestrator cannot be reached, so its sagas are missing here" in page(shop, "/")


def test_checkouts_go_on_without_it(shop: Shop) -> None:
    shop.system.kill(DASHBOARD)
    assert shop.became(shop.buy(shop.product())) == COMPLETED
    shop.restart(DASHBOARD)
    shop.system.wait_healthy(DASHBOARD)
    page(shop, "/")

"""The steady load: its plan, that it is open-loop and bounded, and who may start and stop it."""

import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from flask.testing import FlaskClient

from dashboard import load_driver
from dashboard.app import create_app
from dashboard.config import Settings
from dashboard.load_counts import Counting, Outcome
from dashboard.load_driver import MOST_IN_FLIGHT, NOBODY_LOOKS, UNWATCHED_SECONDS, LoadDriver
from dashboard.load_plan import MOST_RATE, PAYING, SPREAD, LoadPlan, Mix, Planned
from shared.testing import wait_until
from tests.unit.dashboard.answering import Service, serving, sign_in
from tests.unit.dashboard.text import Text

PRODUCTS = {"spread": range(1, SPREAD + 1), "hot": [0]}
QUICK = LoadPlan(rate=MOST_RATE)
FORM = {"do": "run", "rate": "50", "choreographed": "50", "declined": "20", "method": "paypal", "products": "hot"}
SHELVES = "/api/products?after=0&limit=200"
OPERATIONS = "/saga/operations?limit=1"
OTHER_OPERATIONS = "/saga/choreography/operations?limit=1"
SAGA = "01a21726-0000-7000-8000-000000000001"

Services = dict[str, Service]


# The plan.


def test_shares_are_exact_and_every_style_meets_every_product_and_decline() -> None:
    mix, plan = Mix(), LoadPlan(choreographed=50, declined=50)
    chosen = [mix.next(plan, PRODUCTS) for _ in range(2 * 2 * SPREAD)]
    assert Counter(each.style for each in chosen) == {"orchestrated": 2 * SPREAD, "choreographed": 2 * SPREAD}
    assert Counter(each.method for each in chosen) == {"declined_card": 2 * SPREAD, "credit_card": 2 * SPREAD}
    assert set(Counter(chosen).values()) == {1}, "each combination once"


@pytest.mark.parametrize("percent", [0, 1, 33, 100])
def test_a_share_is_what_was_requested(percent: int) -> None:
    mix, plan = Mix(), LoadPlan(choreographed=percent, declined=0, products="hot")
    chosen = [mix.next(plan, PRODUCTS) for _ in range(100)]
    assert sum(each.style == "choreographed" for each in chosen) == percent
    assert {each.product for each in chosen} == {0}


@pytest.mark.parametrize(
    "wrong",
    [
        {"rate": "0"},
        {"rate": str(MOST_RATE + 1)},
        {"rate": f"{MOST_RATE:09}0"},
        {"rate": f"{MOST_RATE + 1:030}"},
        {"rate": "1" * 5000},
        {"rate": "many"},
        {"rate": "²"},
        {"rate": "１"},  # noqa: RUF001  (a digit of another script is meant)
        {"rate": ""},
        {"declined": "-1"},
        {"declined": "101"},
        {"choreographed": "0000000010000"},
        {"method": "declined_card"},
    ],
)
def test_a_plan_that_makes_no_sense_or_would_hurt_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"whole number|no such way to pay"):
        LoadPlan.of({**FORM, **wrong})


def test_the_least_and_the_most_are_allowed_however_they_are_written() -> None:
    most = LoadPlan.of({**FORM, "rate": str(MOST_RATE), "choreographed": "100", "declined": "100"})
    assert (most.rate, most.choreographed, most.declined) == (MOST_RATE, 100, 100)
    least = LoadPlan.of({**FORM, "rate": " 01 ", "choreographed": "0", "declined": "000"})
    assert (least.rate, least.choreographed, least.declined) == (1, 0, 0)


def test_percentiles_are_of_the_accepted_ones_alone_and_none_without_any() -> None:
    counting = Counting(("orchestrated", "choreographed"))
    for number in range(100, 0, -1):
        counting.ended("orchestrated", "accepted", float(number))
    counting.ended("orchestrated", "refused", 1000.0)
    counted = counting.now().styles
    assert (counted["orchestrated"].p50, counted["orchestrated"].p95) == (50.0, 95.0)
    assert (counted["choreographed"].p50, counted["choreographed"].p95) == (None, None)


# The driver.


class Held:
    """Checkouts that are answered when a test says so."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.sent: list[Planned] = []

    def send(self, planned: Planned) -> tuple[Outcome, float, str]:
        self.sent.append(planned)
        assert self.go.wait(60)
        return "accepted", 5.0, ""


def test_what_is_due_is_sent_unanswered_or_not_and_never_more_than_so_many_are_in_flight() -> None:
    held = Held()
    driver = LoadDriver(held.send)
    driver.run(QUICK, PRODUCTS)
    wait_until(lambda: driver.state().counts.held_back >= 3, "more are due than may be in flight", 60)
    assert driver.state().counts.in_flight == MOST_IN_FLIGHT
    driver.stop("enough")
    wait_until(lambda: len(held.sent) >= MOST_IN_FLIGHT, "each of them is on its way", 60)
    held.go.set()
    wait_until(lambda: not driver.state().counts.in_flight, "all are answered", 60)
    assert len(held.sent) == MOST_IN_FLIGHT
    counts = driver.state().counts
    assert sum(each.accepted for each in counts.styles.values()) == MOST_IN_FLIGHT
    assert counts.styles["orchestrated"].p95 == 5.0


class Clock:
    """A clock that a test advances."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


def test_it_ends_when_nobody_looks_and_goes_on_while_somebody_does(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(load_driver, "time", clock)
    driver = LoadDriver(lambda _: ("accepted", 1.0, ""))
    driver.run(QUICK, PRODUCTS)
    for _ in range(3):
        clock.now += UNWATCHED_SECONDS - 1
        driver.seen()
    before = driver.state().counts
    wait_until(lambda: driver.state().counts != before, "it goes on for longer than nobody may look", 60)
    assert driver.state().is_running
    clock.now += UNWATCHED_SECONDS
    wait_until(lambda: not driver.state().is_running, "it ends", 60)
    assert driver.state().why_ended == NOBODY_LOOKS


def test_a_change_goes_on_with_the_same_load_and_a_stop_is_the_end_of_it() -> None:
    driver = LoadDriver(lambda _: ("refused", 0.0, "sold out"))
    driver.run(LoadPlan(rate=1), PRODUCTS)
    driver.run(LoadPlan(rate=MOST_RATE, choreographed=100), PRODUCTS)
    wait_until(lambda: driver.state().counts.styles["choreographed"].refused >= 3, "it is quicker now", 60)
    driver.stop("enough")
    wait_until(lambda: "load" not in {each.name for each in threading.enumerate()}, "its thread is gone", 60)
    state = driver.state()
    assert (state.why_ended, state.counts.trouble) == ("enough", "sold out")
    assert state.counts.styles["orchestrated"].sent <= 1
    driver.run(LoadPlan(rate=1, choreographed=100), PRODUCTS)
    assert driver.state().counts.styles["choreographed"].refused < 3, "a new load counts anew"
    driver.stop("enough")


# HTTP.


@pytest.fixture
def services() -> Iterator[Services]:
    answers: dict[str, dict[str, Any]] = {
        "carrito": {
            "/carts": (201, {"id": "c1"}),
            "/carts/c1/items": (201, {}),
            "/checkout/saga": (202, {"saga_id": SAGA}),
        },
        "inventario": {SHELVES: {"items": [], "next_after": None}, "/api/products": (201, {"id": 7})},
        "pagos": {"/api/v1/wallets/load/deposits": (201, {})},
        "orchestrator": {OPERATIONS: {"items": [], "next_cursor": None}, OTHER_OPERATIONS: (503, {"detail": "no"})},
    }
    with ExitStack() as stack:
        yield {name: stack.enter_context(serving(said)) for name, said in answers.items()}


@pytest.fixture
def viewer(services: Services) -> Iterator[FlaskClient]:
    settings = Settings(
        _env_file=None,
        carrito_service_url=services["carrito"].url,
        inventario_service_url=services["inventario"].url,
        pagos_service_url=services["pagos"].url,
        orchestrator_url=services["orchestrator"].url,
        choreography_url=services["orchestrator"].url,
    )
    app = create_app(settings)
    yield app.test_client()
    _, driver = app.extensions["load"]
    driver.stop("the test is over")
    wait_until(lambda: not driver.state().counts.in_flight, "all are answered", 60)


def said(viewer: FlaskClient) -> str:
    return Text(viewer.get("/load").text).text


def sent(services: Services, path: str = "/checkout/saga") -> list[Any]:
    return [body for _, sent_to, _, body in services["carrito"].requests if sent_to == path]


def test_it_is_started_seen_by_all_changed_and_stopped(viewer: FlaskClient, services: Services) -> None:
    assert "not begun" in said(viewer)
    answer = viewer.post("/load", data=FORM)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/load")
    wait_until(lambda: len(sent(services)) >= 10, "checkouts come", 60)
    bodies = sent(services)
    assert {each["saga_pattern"] for each in bodies} == {"orchestrated", "choreographed"}
    assert {each["payment_method"] for each in bodies} == {"paypal", "declined_card"}
    other = viewer.application.test_client()
    words = "50 a second, 50 % choreographed, 20 % declined, one product for all: the hot row, paid with paypal"
    assert words in said(other)
    counts = r"sent [1-9]\d* [1-9]\d* accepted [1-9]\d* [1-9]\d* refused 0 0 failed 0 0 accepted in, p50 \d+ ms \d+ ms"
    assert re.search(counts, said(other))
    changed = other.post("/load", data={**FORM, "choreographed": "0"})
    assert changed.status_code == 303, Text(changed.text).text
    assert "50 a second, 0 % choreographed" in said(viewer)
    viewer.post("/load", data={"do": "stop"})
    assert "ended: somebody stopped it" in said(other)


def test_what_it_buys_is_made_once_and_filled_up_later(viewer: FlaskClient, services: Services) -> None:
    viewer.post("/load", data={**FORM, "rate": "1"})
    made = [body for method, path, _, body in services["inventario"].requests if path == "/api/products"]
    assert sorted(each["sku"] for each in made) == [f"LOAD-{number:02}" for number in range(SPREAD + 1)]
    known = [{"id": number, "sku": f"LOAD-{number:02}", "available": 400_000} for number in range(SPREAD + 1)]
    known[3]["available"] = 100_000
    services["inventario"].answers |= {SHELVES: {"items": known, "next_after": 200}, "/api/products/3/restock": {}}
    services["inventario"].requests.clear()
    viewer.post("/load", data={**FORM, "rate": "1", "method": "wallet"})
    posted = [(path, body) for method, path, _, body in services["inventario"].requests if method == "POST"]
    assert posted == [("/api/products/3/restock", {"quantity": 400_000})]
    [deposit] = [body for _, path, _, body in services["pagos"].requests if path.endswith("/deposits")]
    assert deposit == {"amount": "1000000"}
    assert "wallet" in PAYING


def test_refusals_and_failures_are_told_apart_with_the_latest_reason(viewer: FlaskClient, services: Services) -> None:
    services["carrito"].answers["/checkout/saga"] = (503, {"detail": "not <b>now"})
    viewer.post("/load", data={**FORM, "choreographed": "0"})
    wait_until(lambda: "Latest trouble: carrito: not <b>now" in said(viewer), "a refusal is shown", 60)
    assert re.search(r"accepted 0 0 refused [1-9]\d* 0 failed 0 0 accepted in, p50 \u2013 \u2013", said(viewer))
    services["carrito"].answers["/checkout/saga"] = (500, {"detail": "broken"})
    wait_until(lambda: re.search(r"failed [1-9]\d* 0", said(viewer)), "a failure is shown", 60)


def test_only_operators_start_change_and_stop_it(viewer: FlaskClient, services: Services) -> None:
    services["orchestrator"].answers[OPERATIONS] = (401, {})
    for form in (FORM, {"do": "stop"}):
        answer = viewer.post("/load", data=form)
        assert (answer.status_code, "This is for operators" in answer.text) == (401, True)
    assert sent(services) == services["inventario"].requests == []
    services["orchestrator"].answers[OPERATIONS] = {"items": []}
    sign_in(viewer, "operators' own")
    viewer.post("/load", data={**FORM, "rate": "1"})
    tokens = {headers["Authorization"] for method, _, headers, _ in services["inventario"].requests if method == "POST"}
    assert tokens == {"Bearer operators' own"}, "of the viewer who starts it; the dashboard has none of its own"
    wait_until(lambda: sent(services), "a checkout comes", 60)
    assert not [headers for *_, headers, _ in services["carrito"].requests if "Authorization" in headers]


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/load", {"Host": "evil.example"}),
        ("/load", {"Sec-Fetch-Site": "cross-site"}),
        ("/load", {"Origin": "https://evil.example"}),  # of a browser that sends no Sec-Fetch-Site
        ("/load", {"Sec-Fetch-Site": "same-site"}),  # of another port of this machine
        ("/nothing", {}),
        ("/operations", {}),
        ("/health", {}),
        ("/static/icon.svg", {}),
        (f"/orders/{SAGA}/receipt.json", {}),
    ],
)
def test_only_who_was_shown_a_page_is_a_viewer_for_whom_it_goes_on(
    viewer: FlaskClient, path: str, headers: dict[str, str]
) -> None:
    _, driver = viewer.application.extensions["load"]
    driver.seen_at = 0.0
    viewer.get(path, headers=headers, buffered=True)
    assert driver.seen_at == 0.0
    viewer.post("/load", data={**FORM, "rate": "1000"})
    assert driver.seen_at == 0.0
    said(viewer)
    assert driver.seen_at > 0.0


def test_another_site_s_page_can_do_nothing_to_it(viewer: FlaskClient, services: Services) -> None:
    for form in (FORM, {"do": "stop"}):
        assert viewer.post("/load", data=form, headers={"Origin": "https://evil.example"}).status_code == 403
    assert sent(services, "/carts") == []
    _, driver = viewer.application.extensions["load"]
    before = driver.state(), driver.seen_at
    assert viewer.get("/load", headers={"Host": "evil.example"}).status_code == 421
    assert (driver.state(), driver.seen_at) == before, "nor does it look"


def test_what_makes_no_sense_or_cannot_be_bought_is_refused_with_its_reason(
    viewer: FlaskClient, services: Services
) -> None:
    answer = viewer.post("/load", data={**FORM, "rate": "1000"})
    assert (answer.status_code, "Rate is a whole number from 1 to 50." in answer.text) == (422, True)
    services["inventario"].answers["/api/products"] = (409, {"detail": "sku <i>taken"})
    answer = viewer.post("/load", data=FORM)
    assert (answer.status_code, "inventario: sku &lt;i&gt;taken" in answer.text) == (409, True)
    assert "not begun" in said(viewer)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"data": {"do": "bogus"}},
        {"data": {**FORM, "do": "bogus"}},
        {"data": {"do": "run"}},
        {"data": {name: value for name, value in FORM.items() if name != "declined"}},
        {"data": {name: value for name, value in FORM.items() if name != "do"}},
        {"json": FORM},
        {"data": b"junk", "content_type": "multipart/form-data; boundary=x"},
        {"data": b"\xff\x00junk", "content_type": "application/x-www-form-urlencoded"},
    ],
)
def test_a_request_that_is_not_the_whole_form_starts_and_changes_nothing(
    viewer: FlaskClient, services: Services, body: dict[str, Any]
) -> None:
    assert viewer.post("/load", **body).status_code == 422
    assert "not begun" in said(viewer)
    viewer.post("/load", data={**FORM, "rate": "1"})
    assert viewer.post("/load", **body).status_code == 422
    assert "1 a second, 50 % choreographed, 20 % declined" in said(viewer)


def test_it_can_be_stopped_when_it_has_broken_what_would_tell_operators(
    viewer: FlaskClient, services: Services
) -> None:
    viewer.post("/load", data={**FORM, "rate": "1"})
    services["orchestrator"].answers[OPERATIONS] = (503, {"detail": "too much"})
    assert viewer.post("/load", data=FORM).status_code == 503
    assert viewer.post("/load", data={"do": "stop"}).status_code == 303
    assert "ended: somebody stopped it" in said(viewer)

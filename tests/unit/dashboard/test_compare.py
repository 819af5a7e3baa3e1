"""One checkout in both styles: begun with one click, shown on one scale, compared in figures."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from html import escape, unescape
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

import pytest
from flask.testing import FlaskClient
from werkzeug.datastructures import MultiDict

from dashboard.app import create_app
from dashboard.choices import DEFAULTS, FAULTS, LINES, Choices
from dashboard.comparison import differences
from dashboard.config import Settings
from dashboard.pages import compare_page
from dashboard.story import story_of
from shared.fault_switches.model import FaultName, parse
from shared.ids import new_id
from tests.unit.dashboard.answering import Service, serving, sign_in
from tests.unit.dashboard.recorded import load
from tests.unit.dashboard.text import Text

SIDES = [load("orchestrated-declined"), load("choreographed-declined")]
IDS = {told["saga"]["saga_pattern"]: told["saga"]["saga_id"] for told in SIDES}
NOW = datetime(2026, 11, 26, 10, tzinfo=UTC)
CARTS = "/carts/c1/items"
NOTHING = Choices((), **DEFAULTS)
FORM = {"product": "7", "quantity": "2", "method": "declined_card", "user": "ana"}
QUERY = "?product=7&quantity=2&method=declined_card&user=ana&fault="


def found(told: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    return told["saga"], told["timeline"]["items"]


@pytest.fixture
def carrito() -> Iterator[Service]:
    answers = {
        "/carts": (201, {"id": "c1"}),
        CARTS: (201, {}),
        "/checkout/saga": (202, {"saga_id": IDS["orchestrated"]}),
    }
    with serving(answers) as service:
        yield service


@pytest.fixture
def viewer(carrito: Service) -> Iterator[FlaskClient]:
    mug = {"id": 7, "name": "<i>Mug</i>", "price": 4.99, "available": 3}
    shelf = {"/api/products?limit=200": {"items": [{**mug, "id": 6, "available": 0}, mug]}}
    with ExitStack() as stack:
        inventario = stack.enter_context(serving(shelf))
        nothing = stack.enter_context(serving({}))
        settings = Settings(
            _env_file=None,
            carrito_service_url=carrito.url,
            inventario_service_url=inventario.url,
            orchestrator_url=nothing.url,
            choreography_url=nothing.url,
        )
        yield create_app(settings).test_client()


def test_both_are_drawn_on_one_scale_and_told_in_numbers() -> None:
    page = compare_page(IDS, [found(told) for told in SIDES], NOTHING, NOW)
    drawings = re.findall(r'class="drawing scale"(.*?)class="legend"', page, re.DOTALL)
    true = [each.partition('class="drawing folded"')[0] for each in drawings]
    scales = [re.findall(r'<text class="tick[^>]*x="([\d.]+)%"[^>]*>([^<]+)<', each) for each in true]
    orchestrated, choreographed = scales
    assert orchestrated == choreographed != []
    said = Text(page).text
    counts = r"HTTP calls of the saga \d+ 0 Messages 0 \d+ Commits of the participants 7 5 Compensations 4 2"
    assert re.search(counts, said)


@pytest.mark.parametrize(
    ("name", "commits"),
    [
        ("orchestrated-completed", 6),
        ("choreographed-completed", 6),
        ("orchestrated-retried", 6),
        ("orchestrated-cart-frozen-before", 6),
        ("choreographed-waited-declined", 5),
    ],
)
def test_commits_are_those_that_the_timeline_shows_and_repetitions_are_none(name: str, commits: int) -> None:
    story = story_of(*found(load(name)), NOW)
    [difference] = [each for each in differences([story]) if each.name == "Commits of the participants"]
    assert difference.values == [(str(commits), 100.0)]


def test_one_that_is_not_known_yet_is_waited_for() -> None:
    said = Text(compare_page(IDS, [found(SIDES[0]), None], NOTHING, NOW)).text
    assert f"Saga {IDS['choreographed']} is not known yet" in said
    assert "The difference" not in said


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"user_id": "luz"}, "user differ"),
        ({"total": 9.99, "payment_method": "paypal"}, "payment method, total differ"),
        ({"fault": "create_order=refuse"}, "faults differ"),
    ],
)
def test_sagas_of_different_checkouts_are_not_called_one(changed: dict[str, Any], words: str) -> None:
    (saga, timeline), other = (found(told) for told in SIDES)
    page = Text(compare_page(IDS, [({**saga, **changed}, timeline), other], NOTHING, NOW)).text
    assert "Two different checkouts" in page
    assert words in page
    assert "One checkout, both styles" not in page


def test_what_was_broken_on_purpose_is_what_the_sagas_say_and_not_the_address() -> None:
    claimed = Choices((("7", "2"),), "paypal", "ana", "create_order=refuse")
    assert "broken on purpose" not in compare_page(IDS, [found(told) for told in SIDES], claimed, NOW)
    broken = [({**saga, "fault": "create_order=refuse"}, timeline) for saga, timeline in map(found, SIDES)]
    assert "broken on purpose: the order is refused" in Text(compare_page(IDS, broken, NOTHING, NOW)).text


def test_what_never_was_a_saga_of_its_style_is_not_waited_for(viewer: FlaskClient) -> None:
    first, second = IDS.values()
    of_another_age = "ffffffff-ffff-7fff-bfff-ffffffffffff"
    for pair in (f"{second}/{first}", f"{first}/{first}", f"{first}/{uuid4()}", f"{of_another_age}/{first}"):
        assert viewer.get(f"/compare/{pair}").status_code == 404, pair
    new = new_id()
    page = viewer.get(f"/compare/{new}/{new_id()}")
    assert (page.status_code, page.text.count("is not known yet")) == (200, 2)


def test_one_click_begins_the_same_checkout_in_both_styles(viewer: FlaskClient, carrito: Service) -> None:
    answer = viewer.post("/compare", data=FORM)
    assert (answer.status_code, answer.headers["Location"]) == (
        303,
        f"/compare/{IDS['orchestrated']}/{IDS['orchestrated']}{QUERY}",
    )
    requests = [(path, body) for _, path, _, body in carrito.requests]
    assert requests[:4] == [("/carts", {"user_id": "ana"}), (CARTS, {"product_id": 7, "quantity": 2})] * 2
    bodies = [body for path, body in requests[4:] if path == "/checkout/saga"]
    assert [body.pop("saga_pattern") for body in bodies] == ["orchestrated", "choreographed"]
    assert bodies[0] == bodies[1]
    assert (bodies[0]["cart_id"], bodies[0]["payment_method"]) == ("c1", "declined_card")


def test_a_cart_can_hold_several_products(viewer: FlaskClient, carrito: Service) -> None:
    viewer.post("/compare", data={**FORM, "product": ["7", "", "9"], "quantity": ["2", "1", "3"]})
    lines = [body for _, path, _, body in carrito.requests if path == CARTS]
    assert lines == [{"product_id": 7, "quantity": 2}, {"product_id": 9, "quantity": 3}] * 2


@pytest.mark.parametrize(
    ("products", "quantities"),
    [(["7", "9"], ["2"]), (["7"], ["2", "1"]), (["7"] * 4, ["1"] * 4), (["7"] * 60, ["1"] * 60)],
)
def test_no_line_is_dropped_without_a_word(
    viewer: FlaskClient, carrito: Service, products: list[str], quantities: list[str]
) -> None:
    answer = viewer.post("/compare", data={**FORM, "product": products, "quantity": quantities})
    assert (answer.status_code, 'role="alert"' in answer.text) == (422, True)
    assert {method for method, *_ in carrito.requests} <= {"GET"}


def test_every_fault_that_is_offered_is_one_and_all_that_heal_or_end_are() -> None:
    named = {fault.name for spec in filter(None, FAULTS) for fault in parse(spec)}
    assert named == set(FaultName) - {FaultName.PAUSE_CONSUMER}, "that one is of all sagas, until it is lifted"


def test_both_suffer_the_fault_that_was_chosen_as_the_operator_asks(viewer: FlaskClient, carrito: Service) -> None:
    carrito.answers["/faults"] = {"steps": [], "messages": [], "items": [], "fired": []}
    page = viewer.get("/compare?fault=create_order%3Drefuse").text
    assert '<option value="create_order=refuse" selected>' in page
    sign_in(viewer, "operators' own")
    answer = viewer.post("/compare", data={**FORM, "fault": "create_order=refuse"})
    sent = [headers for _, path, headers, _ in carrito.requests if path == "/checkout/saga"]
    told = [(headers["X-Fault"], headers["Authorization"]) for headers in sent]
    assert told == [("create_order=refuse", "Bearer operators' own")] * 2
    assert answer.headers["Location"].endswith("&fault=create_order%3Drefuse")


def test_without_faults_it_says_so_and_with_a_token_on_them_it_is_requested(
    viewer: FlaskClient, carrito: Service
) -> None:
    assert "Nothing can be broken on purpose" in Text(viewer.get("/compare").text).text
    carrito.answers["/faults"] = carrito.answers["/checkout/saga"] = (401, {})
    assert 'name="fault"' in viewer.get("/compare").text
    answer = viewer.post("/compare", data={**FORM, "fault": "create_order=refuse"})
    assert answer.status_code == 401
    assert 'value="/compare?product=7&amp;quantity=2&amp;' in answer.text, "nothing has to be chosen again"


@pytest.mark.parametrize("fault", ["€", "create_order=refuse\nX-Other: 1", "a\rb", "ñ", "\x7f"])
def test_a_fault_that_no_header_can_hold_is_refused_and_nothing_is_begun(
    viewer: FlaskClient, carrito: Service, fault: str
) -> None:
    answer = viewer.post("/compare", data={**FORM, "fault": fault})
    assert (answer.status_code, "A fault is written" in answer.text) == (422, True)
    assert {method for method, *_ in carrito.requests} <= {"GET"}


def test_run_again_has_every_choice_and_the_link_keeps_them(viewer: FlaskClient) -> None:
    chosen = Choices((("7", "2"), ("9", "1")), "paypal", "<b>luz", "create_order=slow:9")
    page = compare_page(IDS, [found(told) for told in SIDES], chosen, NOW)
    fields = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page)
    assert [(name, unescape(value)) for name, value in fields] == chosen.fields
    assert "&lt;b&gt;luz" in page
    assert f'{IDS["choreographed"]}{escape(chosen.query)}"' in page, "while it runs, the same page is loaded again"
    assert Choices.of(MultiDict(parse_qsl(chosen.query[1:], keep_blank_values=True))) == chosen


def test_a_refusal_is_shown_with_what_was_chosen(viewer: FlaskClient, carrito: Service) -> None:
    carrito.answers[CARTS] = (409, {"detail": "not enough stock"})
    answer = viewer.post("/compare", data=FORM)
    assert answer.status_code == 409
    assert "carrito: not enough stock" in answer.text
    assert "<option selected>declined_card</option>" in answer.text
    assert "/checkout/saga" not in {path for _, path, *_ in carrito.requests}


@pytest.mark.parametrize(("status", "shown"), [(409, 409), (503, 503), (401, 401)])
def test_the_saga_that_has_begun_is_named_when_the_other_checkout_fails(
    viewer: FlaskClient, carrito: Service, status: int, shown: int
) -> None:
    said: Iterator[Any] = iter([(202, {"saga_id": IDS["orchestrated"]}), (status, {"detail": "not <b>now"})])
    carrito.answers["/checkout/saga"] = lambda: next(said)
    answer = viewer.post("/compare", data=FORM)
    assert answer.status_code == shown
    assert f'href="/sagas/orchestrated/{IDS["orchestrated"]}"' in answer.text
    assert status == 401 or "not &lt;b&gt;now" in answer.text
    assert f'href="/compare{escape(QUERY)}"' in answer.text


def test_what_is_no_product_is_sent_to_no_service(viewer: FlaskClient, carrito: Service) -> None:
    assert viewer.post("/compare", data={**FORM, "product": "x"}).status_code == 422
    assert viewer.post("/compare", data=FORM, headers={"Origin": "https://evil.example"}).status_code == 403
    assert {method for method, *_ in carrito.requests} <= {"GET"}


def test_only_what_is_there_is_offered_and_its_name_is_text(viewer: FlaskClient) -> None:
    page = viewer.get("/compare").text
    assert re.findall(r'<option value="(\d+)"', page) == ["7"] * LINES
    assert "&lt;i&gt;Mug&lt;/i&gt;, 4.99 EUR (3 in stock)" in page


def test_an_empty_shop_says_how_to_fill_it(carrito: Service) -> None:
    with serving({"/api/products?limit=200": json.loads('{"items": []}')}) as empty:
        settings = Settings(_env_file=None, carrito_service_url=carrito.url, inventario_service_url=empty.url)
        assert "make demo" in create_app(settings).test_client().get("/compare").text

"""The dashboard against services that answer what a test says: what it asks, and what it makes of the answers."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from flask.testing import FlaskClient

from dashboard.app import create_app
from dashboard.config import Settings
from tests.unit.dashboard.answering import Service, serving, sign_in
from tests.unit.dashboard.recorded import load
from tests.unit.dashboard.text import Text

NAMES = ("carrito", "inventario", "pagos", "orchestrator", "choreography")
ORCHESTRATED, CHOREOGRAPHED = load("orchestrated-undone"), load("choreographed-completed")
SAGA, OTHER = ORCHESTRATED["saga"]["saga_id"], CHOREOGRAPHED["saga"]["saga_id"]
PAGE = f"/sagas/orchestrated/{SAGA}"
TOKEN = "operator's own"
NOBODY = "01a21726-0000-7000-8000-000000000000"

Services = dict[str, Service]
NO_TIMES = {"latency_ms": {"p50": None, "p95": None}, "books_open_ms": {"p50": None, "p95": None}}


def stats(seconds: float = 3600.0, ended: dict[str, int] | None = None, **live: int) -> dict[str, Any]:
    """As `GET …/stats` says it."""
    none = dict.fromkeys(("pending", "running", "compensating", "stuck"), 0)
    over = {"completed": 0, "compensated": 0, **(ended or {})}
    return {"seconds": seconds, "live": {**none, **live}, "ended": over, "per_second": 0.0, **NO_TIMES}


def answers_of(told: dict[str, Any], base: str, listed: str) -> dict[str, dict[str, Any]]:
    """By service, what it says of a recorded saga."""
    saga, outcome = told["saga"], told["outcome"]
    cart = saga["cart_id"]
    window = "orchestrator" if saga["saga_pattern"] == "orchestrated" else "choreography"
    page = {"items": [saga], "next_cursor": None}
    return {
        "carrito": {
            f"/orders/saga/{cart}": outcome["orders"],
            f"/carts/{cart}": outcome["cart"],
            f"/orders/{saga['order_id']}": {"id": saga["order_id"], "cart_id": cart, "saga_id": saga["saga_id"]},
        },
        "pagos": {f"/api/v1/payments/saga/{cart}": outcome["payments"]},
        "inventario": {f"/api/products/reservations/{cart}": outcome["reservations"]},
        window: {
            f"{base}/{saga['saga_id']}": saga,
            f"{base}/{saga['saga_id']}/timeline": told["timeline"],
            f"{listed}?limit=50": page,
            f"{listed}?status=compensated&limit=50": page,
            f"{listed}?cart_id={cart}&limit=50": page,
            f"{base}/stats?seconds=3600": stats(ended={saga["status"]: 1}),
        },
    }


@pytest.fixture
def services() -> Iterator[Services]:
    nothing: dict[str, Any] = {"items": [], "next_cursor": None}
    answers: dict[str, dict[str, Any]] = {name: {} for name in NAMES}
    answers["orchestrator"]["/saga/operations?limit=1"] = nothing
    for told, base, listed in (
        (ORCHESTRATED, "/saga", "/saga"),
        (CHOREOGRAPHED, "/saga/choreography", "/saga/choreography/status"),
    ):
        for name, said in answers_of(told, base, listed).items():
            answers[name] |= said
    for told, name, listed in (
        (CHOREOGRAPHED, "orchestrator", "/saga"),
        (ORCHESTRATED, "choreography", "/saga/choreography/status"),
    ):
        answers[name][f"{listed}?cart_id={told['saga']['cart_id']}&limit=50"] = nothing
    with ExitStack() as stack:
        yield {name: stack.enter_context(serving(answers[name])) for name in NAMES}


@pytest.fixture
def viewer(services: Services) -> Iterator[FlaskClient]:
    app = create_app(settings_of(services))
    yield app.test_client()
    for stop in app.extensions["on_stop"]:
        stop()


def settings_of(services: Services, **more: Any) -> Settings:
    """Of a dashboard that asks these."""
    return Settings(
        _env_file=None,
        carrito_service_url=services["carrito"].url,
        inventario_service_url=services["inventario"].url,
        pagos_service_url=services["pagos"].url,
        orchestrator_url=services["orchestrator"].url,
        choreography_url=services["choreography"].url,
        **more,
    )


def said(client: FlaskClient, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status
    return Text(answer.text).text


def test_a_saga_s_page_is_read_from_five_services_and_needs_no_token(viewer: FlaskClient, services: Services) -> None:
    assert "Undone by" in said(viewer, PAGE)
    assert "49.80 EUR taken, 49.80 EUR given back" in said(viewer, PAGE)
    requests = [request for service in services.values() for request in service.requests]
    assert {method for method, *_ in requests} == {"GET"}
    assert not [headers for _, _, headers, _ in requests if "Authorization" in headers]


def test_a_service_that_is_away_leaves_a_gap_that_is_named(viewer: FlaskClient, services: Services) -> None:
    services["pagos"].answers.clear()
    services["pagos"].answers[f"/api/v1/payments/saga/{ORCHESTRATED['saga']['cart_id']}"] = (503, {"detail": "no"})
    page = said(viewer, PAGE)
    assert "Money not known pagos cannot be reached" in page
    assert "Order cancelled" in page


def test_without_the_saga_s_own_service_the_page_says_who_is_missing_and_where(
    viewer: FlaskClient, services: Services
) -> None:
    services["orchestrator"].answers[f"/saga/{SAGA}"] = (503, {"detail": "the database is not available"})
    page = said(viewer, PAGE, 503)
    assert f"saga_orchestrator should answer at {services['orchestrator'].url}" in page
    assert "the database is not available" in page
    assert int(viewer.get(PAGE).headers["Retry-After"]) > 0


@pytest.mark.parametrize("path", ["/", PAGE, "/nothing", "/search?id=x", f"/orders/{NOBODY}/receipt.json", "/health"])
def test_nothing_that_services_told_is_kept_by_browsers_or_on_the_way(viewer: FlaskClient, path: str) -> None:
    assert viewer.get(path).headers["Cache-Control"] == "no-store"
    style = viewer.get("/static/dashboard.css", buffered=True)
    assert "max-age=3600" in style.headers["Cache-Control"], "a file that is the same for all is kept"


def test_both_styles_are_side_by_side_in_one_list_the_newest_first(viewer: FlaskClient) -> None:
    page = viewer.get("/").text
    assert page.index(f"/sagas/orchestrated/{SAGA}") < page.index(f"/sagas/choreographed/{OTHER}")
    text = Text(page).text
    assert "Orchestrated live now, and ended within the last hour" in text
    assert "1 compensated" in text
    assert "1 completed" in text


def test_rate_and_times_of_both_styles_are_shown_and_what_is_not_known_is_a_dash(
    viewer: FlaskClient, services: Services
) -> None:
    times = {"latency_ms": {"p50": 84.2, "p95": 1310.0}, "books_open_ms": {"p50": None, "p95": 99.9}}
    services["orchestrator"].answers["/saga/stats?seconds=60"] = {**stats(60), "per_second": 12.345, **times}
    page = said(viewer, "/")
    known = "Ended per second 12.3 Took p50 84 ms Took p95 1.3 s Books open p50 \u2013 Books open p95 100 ms"
    unknown = "Ended per second \u2013 Took p50 \u2013 Took p95 \u2013 Books open p50 \u2013 Books open p95 \u2013"
    assert page.index(known) < page.index(unknown)


def test_filters_are_in_the_url_and_sent_to_the_services(viewer: FlaskClient, services: Services) -> None:
    page = viewer.get("/?style=orchestrated&status=compensated").text
    assert SAGA in page
    assert OTHER not in page
    assert "/saga?status=compensated&limit=50" in {path for _, path, *_ in services["orchestrator"].requests}
    assert 'href="/?style=choreographed&amp;status=compensated"' in page, "one filter changes, the other stays"


def test_every_filter_goes_to_the_services_under_its_own_name(viewer: FlaskClient, services: Services) -> None:
    page = {"items": [CHOREOGRAPHED["saga"]], "next_cursor": None}
    wanted = f"user_id=a%26b&payment_method=paypal&failed_step=create_order&retrying=true&order_id={NOBODY}"
    services["choreography"].answers[f"/saga/choreography/status?{wanted}&limit=50"] = page
    query = f"user=a%26b&method=paypal&step=create_order&retrying=true&order={NOBODY}"
    shown = viewer.get(f"/?style=choreographed&{query}").text
    assert OTHER in shown
    assert 'value="a&amp;b"' in shown


def test_the_next_page_begins_where_the_style_that_was_read_less_far_ends(
    viewer: FlaskClient, services: Services
) -> None:
    """What the other style has beyond that comes on the next page, where both are read on from there."""
    ids = sorted([SAGA, OTHER], reverse=True)
    page = {"items": [ORCHESTRATED["saga"]], "next_cursor": ids[0]}
    services["orchestrator"].answers["/saga?limit=50"] = page
    shown = viewer.get("/").text
    assert f'href="/?before={ids[0]}"' in shown
    assert [each in shown for each in (SAGA, OTHER)] == [ids[0] == SAGA, ids[0] == OTHER]


@pytest.mark.parametrize("query", ["status=lost", "style=danced", "cart=1", "before=x"])
def test_a_filter_that_means_nothing_is_refused(viewer: FlaskClient, query: str) -> None:
    said(viewer, f"/?{query}", 404)


STEP_REFUSED = (422, {"detail": "does not fit: failed_step", "errors": [{"field": "failed_step", "detail": "a or b"}]})


def test_a_step_that_one_style_alone_has_leaves_the_sagas_of_that_style(
    viewer: FlaskClient, services: Services
) -> None:
    page = {"items": [ORCHESTRATED["saga"]], "next_cursor": None}
    services["orchestrator"].answers["/saga?failed_step=book_shipment&limit=50"] = page
    services["choreography"].answers["/saga/choreography/status?failed_step=book_shipment&limit=50"] = STEP_REFUSED
    shown = said(viewer, "/?step=book_shipment")
    assert "compensated" in shown
    assert "missing here" not in shown


def test_a_step_that_no_style_has_is_refused_with_those_that_there_are(viewer: FlaskClient, services: Services) -> None:
    services["orchestrator"].answers["/saga?failed_step=x&limit=50"] = STEP_REFUSED
    services["choreography"].answers["/saga/choreography/status?failed_step=x&limit=50"] = STEP_REFUSED
    assert "saga_orchestrator: does not fit: failed_step (a or b)" in said(viewer, "/?step=x", 422)
    assert "saga_choreography: does not fit: failed_step (a or b)" in said(viewer, "/?style=choreographed&step=x", 422)


def test_one_style_s_list_is_shown_when_the_other_s_service_is_away(viewer: FlaskClient, services: Services) -> None:
    services["choreography"].answers["/saga/choreography/status?limit=50"] = (503, {"detail": "no"})
    page = said(viewer, "/")
    assert "saga_choreography cannot be reached, so its sagas are missing here" in page
    assert "compensated" in page


def test_an_empty_shop_says_what_to_do_next(viewer: FlaskClient, services: Services) -> None:
    for name, path in (("orchestrator", "/saga"), ("choreography", "/saga/choreography/status")):
        services[name].answers[f"{path}?limit=50"] = {"items": [], "next_cursor": None}
    assert "make demo" in said(viewer, "/")


def test_filters_that_nothing_fits_offer_a_way_back(viewer: FlaskClient, services: Services) -> None:
    for name, path in (("orchestrator", "/saga"), ("choreography", "/saga/choreography/status")):
        services[name].answers[f"{path}?cart_id={NOBODY}&limit=50"] = {"items": [], "next_cursor": None}
    page = viewer.get(f"/?cart={NOBODY}").text
    assert "No saga is like that" in page


@pytest.mark.parametrize("told", [ORCHESTRATED, CHOREOGRAPHED], ids=["orchestrated", "choreographed"])
@pytest.mark.parametrize("name", ["saga_id", "cart_id", "order_id"])
def test_any_id_of_a_checkout_leads_to_its_saga(viewer: FlaskClient, told: dict[str, Any], name: str) -> None:
    saga = told["saga"]
    answer = viewer.get(f"/search?id=+{saga[name]}+")
    assert answer.headers["Location"] == f"/sagas/{saga['saga_pattern']}/{saga['saga_id']}"


def test_an_id_that_nobody_knows_and_what_is_no_id_are_told_apart(viewer: FlaskClient) -> None:
    assert f"No saga, cart or order has the id {NOBODY}" in said(viewer, f"/search?id={NOBODY}", 404)
    assert "'<b>x' is no id" in said(viewer, "/search?id=<b>x", 404)


def test_an_unknown_saga_or_page_is_404(viewer: FlaskClient) -> None:
    said(viewer, f"/sagas/orchestrated/{NOBODY}", 404)
    said(viewer, f"/sagas/danced/{SAGA}", 404)
    said(viewer, "/nothing", 404)


@pytest.mark.parametrize(
    "path",
    ["/sagas/orchestrated/x", "/compare/x/y", "/orders/7/receipt", "/?cart=x", "/operations?before=x", "/search?id=x"],
)
def test_of_what_is_no_id_it_says_what_ids_are(viewer: FlaskClient, path: str) -> None:
    assert "are UUIDs, such as" in said(viewer, path, 404)


@pytest.mark.parametrize("path", ["/", PAGE, "/nothing", "/static/dashboard.css", "/health"])
def test_every_answer_has_a_policy_that_lets_nothing_in_from_elsewhere(viewer: FlaskClient, path: str) -> None:
    policy = viewer.get(path, buffered=True).headers["Content-Security-Policy"]
    rules = dict(rule.split(maxsplit=1) for rule in policy.split("; "))
    assert rules.pop("default-src") == "'none'"
    assert set(rules.values()) == {"'self'", "'none'"}


def test_all_that_pages_load_is_there(viewer: FlaskClient) -> None:
    page = viewer.get("/").text
    style = viewer.get("/static/dashboard.css", buffered=True).text
    links = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
    links += [f"/static/{each}" for each in re.findall(r"url\((fonts/[^)]+)\)", style)]
    assert len(links) == 7
    assert {viewer.get(link, buffered=True).status_code for link in links} == {200}


def test_it_is_well_whatever_the_services_are(viewer: FlaskClient, services: Services) -> None:
    for service in services.values():
        service.answers.clear()
    assert viewer.get("/health").status_code == 200


# What else is known of a saga that does not go on


@pytest.fixture
def silent(services: Services) -> Services:
    """The choreographed saga waits, one of its messages is parked, and a fault fired on it."""
    window, path = services["choreography"], f"/saga/choreography/{OTHER}"
    items = [each for each in CHOREOGRAPHED["timeline"]["items"] if each["event"] != "checkout.completed"][:2]
    window.answers[path] = {**CHOREOGRAPHED["saga"], "status": "running", "ended_at": None}
    window.answers[f"{path}/timeline"] = {"items": items}
    letter = {"event": "inventory.reserved", "service": "pagos", "error": "its worker died <u>four times"}
    window.answers[f"/saga/choreography/dead-letters?saga_id={OTHER}&limit=200"] = {"items": [letter]}
    row = {"name": "kill", "step": "process_payment", "fired": 8}
    services["pagos"].answers[f"/faults?saga_id={OTHER}"] = {"fired": [row]}
    return services


def test_a_silent_saga_s_dead_letters_and_faults_are_told_with_links(viewer: FlaskClient, silent: Services) -> None:
    page = viewer.get(f"/sagas/choreographed/{OTHER}").text
    assert f'<a href="/dead-letters?saga={OTHER}">inventory.reserved parked by pagos: its worker died &lt;u&gt;' in page
    assert '<a href="/faults">kill at Take payment, 8 times</a>' in page


def test_a_look_at_a_saga_s_letters_is_shared_since_it_holds_them_back(viewer: FlaskClient, silent: Services) -> None:
    for _ in range(3):
        viewer.get(f"/sagas/choreographed/{OTHER}")
    paths = [path for _, path, *_ in silent["choreography"].requests if "dead-letters" in path]
    assert len(paths) == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((401, {"detail": "no"}), "Dead letters shown to operators only"),
        ((503, {"detail": "no broker"}), "Dead letters could not be read"),
    ],
)
def test_letters_that_cannot_be_read_are_not_said_to_be_none(
    viewer: FlaskClient, silent: Services, answer: tuple[int, dict[str, str]], words: str
) -> None:
    silent["choreography"].answers[f"/saga/choreography/dead-letters?saga_id={OTHER}&limit=200"] = answer
    assert words in said(viewer, f"/sagas/choreographed/{OTHER}")


def test_of_a_saga_that_completed_no_letters_are_read(viewer: FlaskClient, services: Services) -> None:
    viewer.get(f"/sagas/choreographed/{OTHER}")
    assert not [path for _, path, *_ in services["choreography"].requests if "dead-letters" in path]


# What an operator does


def undo(client: FlaskClient, **more: Any) -> Any:
    return client.post(f"{PAGE}/compensate", data={"reason": "changed my mind", "by": "luz", **more})


@pytest.fixture
def operated(services: Services) -> Service:
    """The orchestrator, whose saga is completed and can be undone."""
    orchestrator = services["orchestrator"]
    orchestrator.answers[f"/saga/{SAGA}"] = {
        **ORCHESTRATED["saga"],
        "status": "completed",
        "steps": [{**step, "status": "succeeded"} for step in ORCHESTRATED["saga"]["steps"]],
    }
    orchestrator.answers[f"/saga/{SAGA}/compensate"] = (202, {})
    return orchestrator


def test_a_preview_says_what_will_be_done_in_order_and_does_nothing(viewer: FlaskClient, operated: Service) -> None:
    page = said(viewer, f"{PAGE}/compensate")
    words = ["Restock (inventario)", "Cancel order (carrito)", "Refund (pagos)", "Release stock", "Reopen cart"]
    assert [page.index(word) for word in words] == sorted(page.index(word) for word in words)
    assert {method for method, *_ in operated.requests} == {"GET"}


def test_an_operator_s_reason_and_name_are_passed_on_and_the_page_is_shown_again(
    viewer: FlaskClient, operated: Service
) -> None:
    answer = undo(viewer)
    assert (answer.status_code, answer.headers["Location"]) == (303, PAGE)
    [(_, path, headers, body)] = [request for request in operated.requests if request[0] == "POST"]
    assert (path, body) == (f"/saga/{SAGA}/compensate", {"reason": "changed my mind", "by": "luz"})
    assert "Authorization" not in headers


def test_the_token_is_requested_once_and_kept_where_no_script_and_no_other_site_sees_it(
    viewer: FlaskClient, operated: Service
) -> None:
    operated.answers[f"/saga/{SAGA}/compensate"] = (401, {"detail": "this is for operators"})
    refused = undo(viewer)
    assert refused.status_code == 401
    assert 'name="token"' in refused.text
    assert 'value="changed my mind"' in refused.text, "nothing has to be typed twice"
    operated.answers[f"/saga/{SAGA}/compensate"] = (202, {})
    cookie = undo(viewer, token=TOKEN).headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Strict"} <= set(cookie.split("; "))
    assert "Expires" not in cookie
    undo(viewer)
    tokens = [headers.get("Authorization") for method, _, headers, _ in operated.requests if method == "POST"]
    assert tokens == [None, f"Bearer {TOKEN}", f"Bearer {TOKEN}"]
    assert TOKEN not in viewer.get(f"{PAGE}/compensate").text


def test_a_refusal_is_shown_with_its_reason(viewer: FlaskClient, operated: Service) -> None:
    operated.answers[f"/saga/{SAGA}/compensate"] = (409, {"detail": "the saga is too old"})
    answer = undo(viewer)
    assert answer.status_code == 409
    assert "the saga is too old" in answer.text


@pytest.mark.parametrize(
    ("status", "action", "words"),
    [
        ("compensated", "compensate", "This checkout is undone already."),
        ("compensating", "compensate", "This checkout is being undone already."),
        ("compensated", "retry", "This saga has ended: it is compensated."),
        ("completed", "retry", "This saga has ended: it is completed."),
    ],
)
def test_where_there_is_nothing_to_do_no_reason_is_requested(
    viewer: FlaskClient, operated: Service, status: str, action: str, words: str
) -> None:
    operated.answers[f"/saga/{SAGA}"]["status"] = status
    page = said(viewer, f"{PAGE}/{action}", 409)
    assert words in page
    assert "What will be done" not in page


def test_a_stuck_saga_that_has_turned_back_cannot_be_undone_once_more(viewer: FlaskClient, operated: Service) -> None:
    saga = operated.answers[f"/saga/{SAGA}"]
    saga |= {"status": "stuck", "steps": [{**saga["steps"][0], "status": "compensating"}, *saga["steps"][1:]]}
    said(viewer, f"{PAGE}/compensate", 409)
    assert "What will be done" in said(viewer, f"{PAGE}/retry")


def test_a_reason_that_is_too_long_is_not_cut_but_refused(viewer: FlaskClient, operated: Service) -> None:
    operated.answers[f"/saga/{SAGA}/compensate"] = (422, {"detail": "does not fit: reason"})
    reason = "a" * 201
    answer = undo(viewer, reason=reason)
    assert (answer.status_code, "does not fit: reason" in answer.text) == (422, True)
    assert f'value="{reason}"' in answer.text
    assert operated.requests[-2][3]["reason"] == reason


def operations_of(services: Services, *items: dict[str, Any]) -> None:
    """The first is of an orchestrated saga, the others of choreographed ones."""
    services["orchestrator"].answers["/saga/operations?limit=50"] = {"items": items[:1], "next_cursor": None}
    services["choreography"].answers["/saga/choreography/operations?limit=50"] = {
        "items": items[1:],
        "next_cursor": None,
    }


def operation(number: int, **changed: Any) -> dict[str, Any]:
    return {
        "id": f"01a21726-0000-7000-8000-00000000000{number}",
        "at": "2026-11-26T09:18:59+00:00",
        "kind": "compensation_asked",
        "by": f"<b>ana {number}</b>",
        "reason": f"why {number}",
        "saga_id": SAGA,
        "detail": None,
        **changed,
    }


def test_what_operators_did_in_either_style_is_one_list_the_latest_first(
    viewer: FlaskClient, services: Services
) -> None:
    redriven = operation(3, kind="redriven", saga_id=None, detail="4 dead letters")
    operations_of(services, operation(2), redriven, operation(1))
    said_of_it = said(viewer, "/operations")
    assert [said_of_it.index(f"<b>ana {n}</b>") for n in (3, 2, 1)] == sorted(
        said_of_it.index(f"<b>ana {n}</b>") for n in (3, 2, 1)
    )
    assert "redrive dead letters 4 dead letters why 3" in said_of_it
    assert "undo" in said_of_it


def test_what_is_for_operators_is_shown_once_the_token_is_given(viewer: FlaskClient, services: Services) -> None:
    operations_of(services)
    path = "/saga/operations?limit=50"
    known = services["orchestrator"].answers[path]
    services["orchestrator"].answers[path] = (401, {"detail": "this is for operators"})
    refused = viewer.get("/operations")
    assert refused.status_code == 401
    assert 'name="next" value="/operations"' in refused.text
    assert "That is not" not in refused.text
    done = viewer.post("/operator", data={"token": TOKEN, "next": "/operations"})
    assert (done.status_code, done.headers["Location"]) == (303, "/operations")
    assert {"HttpOnly", "SameSite=Strict"} <= set(done.headers["Set-Cookie"].split("; "))
    assert "That is not the operator's token" in said(viewer, "/operations", 401)
    services["orchestrator"].answers[path] = known
    assert "Nobody has requested anything yet" in said(viewer, "/operations")
    assert services["orchestrator"].requests[-1][2]["Authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    "then",
    ["https://evil.example/x", "//evil.example/x", "///evil.example/x", "\\\\evil.example", "http://[", "//[x]:y/z"],
)
def test_nobody_is_led_elsewhere_with_his_token(viewer: FlaskClient, then: str) -> None:
    answer = viewer.post("/operator", data={"token": TOKEN, "next": then})
    assert re.fullmatch(r"/([^/\\].*)?", answer.headers["Location"])


def test_operations_of_one_style_are_shown_when_the_other_s_service_is_away(
    viewer: FlaskClient, services: Services
) -> None:
    operations_of(services, operation(1))
    services["choreography"].answers["/saga/choreography/operations?limit=50"] = (503, {"detail": "not now"})
    page = said(viewer, "/operations")
    assert "The service of choreographed sagas cannot be reached" in page
    assert "why 1" in page


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_page_of_another_site_has_nothing_done(
    viewer: FlaskClient, operated: Service, headers: dict[str, str]
) -> None:
    sign_in(viewer, TOKEN)
    form = {"reason": "x", "by": "y"}
    answer = viewer.post(f"{PAGE}/compensate", data=form, headers={"Host": "localhost:8080", **headers})
    assert answer.status_code == 403
    assert operated.requests == []


def test_it_does_not_go_by_names_that_are_not_its_own(viewer: FlaskClient) -> None:
    assert viewer.get("/", headers={"Host": "evil.example"}).status_code == 421


def test_nothing_but_two_things_can_be_requested(viewer: FlaskClient, operated: Service) -> None:
    assert viewer.post(f"{PAGE}/checkout", data={}).status_code == 404
    refused = viewer.post("/search", data={})
    assert (refused.status_code, set(refused.headers["Allow"].split(", "))) == (405, {"GET", "HEAD", "OPTIONS"})
    assert operated.requests == []


def test_what_makes_no_sense_is_not_offered(viewer: FlaskClient, operated: Service) -> None:
    path = re.escape(PAGE)
    completed = viewer.get(PAGE).text
    assert re.findall(rf'href="{path}/(\w+)"', completed) == ["compensate"]
    operated.answers[f"/saga/{SAGA}"] = ORCHESTRATED["saga"]
    assert re.findall(rf'href="{path}/(\w+)"', viewer.get(PAGE).text) == []

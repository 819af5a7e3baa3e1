"""The front page: both styles, the list of sagas, and its filters."""

import pytest
from flask.testing import FlaskClient

from tests.unit.dashboard.shop import CHOREOGRAPHED, NOBODY, ORCHESTRATED, OTHER, SAGA, Services, said, stats
from tests.unit.dashboard.text import Text


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
    """Older sagas of the other style are on the next page, which continues both styles there."""
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

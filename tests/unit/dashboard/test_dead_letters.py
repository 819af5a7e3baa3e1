"""The page of dead letters, against a service that answers as a test says."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from flask.testing import FlaskClient

from dashboard.app import create_app
from dashboard.config import Settings
from dashboard.web import now
from tests.unit.dashboard.answering import Service, serving, sign_in
from tests.unit.dashboard.text import Text

PATH = "/saga/choreography/dead-letters"
SAGA = "01a21726-0000-7000-8000-000000000001"
DONE = "01a21726-0000-7000-8000-000000000002"
TOKEN = "operators' own"
FORM = {"reason": "the table is back", "by": "luz"}


def letter(number: int, **changed: Any) -> dict[str, Any]:
    return {
        "service": "carrito",
        "event_id": f"event-{number}",
        "event": "payment.processed",
        "saga_id": SAGA,
        "error": "UndefinedTable: <b>orders</b>",
        "tries": 4,
        "parked_at": "2026-01-02T03:04:05+00:00",
        "payload": {"cart_id": "<i>"},
        **changed,
    }


def redrive(*moved: dict[str, Any], **changed: Any) -> dict[str, Any]:
    return {
        "id": DONE,
        "requested_at": "2026-01-02T03:05:00+00:00",
        "by": "luz",
        "reason": "the table is back",
        "wanted": {"service": "carrito", "event_ids": None},
        "moved": [{name: each[name] for name in ("service", "event_id", "event", "saga_id")} for each in moved],
        "finished_at": "2026-01-02T03:05:01+00:00",
        **changed,
    }


def tell(service: Service, *items: dict[str, Any], redrives: tuple[dict[str, Any], ...] = (), query: str = "") -> None:
    service.answers[f"{PATH}?limit=200{query}"] = {"items": list(items), "redrives": list(redrives)}


@pytest.fixture
def service() -> Iterator[Service]:
    with serving({}) as found:
        yield found


@pytest.fixture
def viewer(service: Service) -> FlaskClient:
    return create_app(Settings(_env_file=None, choreography_url=service.url)).test_client()


def said(viewer: FlaskClient, path: str = "/dead-letters", status: int = 200) -> str:
    answer = viewer.get(path)
    assert answer.status_code == status, answer.text
    return Text(answer.text).text


def test_what_is_parked_is_shown_with_why_and_whose_saga_it_is_of(viewer: FlaskClient, service: Service) -> None:
    tell(service, letter(1), letter(2, event=None, saga_id=None, error=None, tries=None, parked_at="long ago"))
    page = viewer.get("/dead-letters").text
    assert f'href="/sagas/choreographed/{SAGA}"' in page
    assert "UndefinedTable: &lt;b&gt;orders&lt;/b&gt;" in page
    text = Text(page).text
    assert "no event of no saga that is known no reason given" in text.replace("saga 01a2", "")
    assert "long ago" in text


@pytest.mark.parametrize("field", ["payload", "error", "event_id", "event", "parked_at"])
def test_half_a_surrogate_pair_which_is_json_and_no_text_is_shown(
    viewer: FlaskClient, service: Service, field: str
) -> None:
    half = "half \ud800" if field != "payload" else {"reason": "half \ud800"}
    tell(service, letter(1, **{field: half}), letter(2))
    assert "\\ud800" in said(viewer)


def test_a_filter_is_in_the_url_and_reaches_the_link_to_the_redrive(viewer: FlaskClient, service: Service) -> None:
    tell(service, letter(2, event="order.created"), query="&service=carrito&event=order.created")
    page = viewer.get("/dead-letters?service=carrito&event=order.created").text
    assert "event-2" in page
    assert 'href="/dead-letters/redrive?service=carrito&amp;event=order.created"' in page


def test_a_redrive_is_by_filter_and_not_by_what_a_page_lists(viewer: FlaskClient, service: Service) -> None:
    tell(service, *(letter(number) for number in range(200)), query="&service=carrito")
    assert "the first 200" in said(viewer, "/dead-letters?service=carrito")
    query = "?service=carrito&event=payment.processed"
    tell(service, *(letter(number) for number in range(200)), query="&service=carrito&event=payment.processed")
    assert "200 messages and more would be delivered again" in said(viewer, f"/dead-letters/redrive{query}")
    service.answers[f"{PATH}/redrive"] = redrive()
    answer = viewer.post(f"/dead-letters/redrive{query}", data=FORM)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/dead-letters?done={DONE}")
    assert service.requests[-1][3] == {**FORM, "service": "carrito", "event": "payment.processed"}


def test_reason_saga_and_age_are_sent_to_the_service_for_the_list_and_for_the_redrive_alike(
    viewer: FlaskClient, service: Service
) -> None:
    query = f"?error=%3Cb%3Eorders&saga={SAGA}&older=3600"
    service.answers[f"{PATH}/redrive"] = redrive()
    before = now()
    viewer.get(f"/dead-letters{query}")
    viewer.post(f"/dead-letters/redrive{query}", data=FORM)
    (_, listed, _, _), (_, _, _, moved) = service.requests
    told = dict(parse_qsl(urlsplit(listed).query))
    for request in (told, moved):
        assert (request["error"], request["saga_id"]) == ("<b>orders", SAGA)
        age = now() - datetime.fromisoformat(request["parked_before"])
        assert timedelta(hours=1) <= age <= timedelta(hours=1) + (now() - before)
    assert moved.items() >= FORM.items()


def test_the_filter_is_kept_in_every_link_and_told_in_words(viewer: FlaskClient, service: Service) -> None:
    query = f"?error=%3Cb%3Eorders&saga={SAGA}"
    tell(service, letter(1), query=f"&saga_id={SAGA}&error=%3Cb%3Eorders")
    page = viewer.get(f"/dead-letters{query}").text
    assert f'href="/dead-letters/redrive?saga={SAGA}&amp;error=%3Cb%3Eorders"' in page
    words = f"Redrive every parked message of every service, of saga {SAGA}, with '<b>orders' in its reason"
    assert words in Text(page).text
    assert 'name="error" value="&lt;b&gt;orders"' in page


@pytest.mark.parametrize("query", ["saga=1", "older=7", "older=x", "service=nobody"])
def test_a_filter_that_means_nothing_is_refused_and_redrives_nothing(
    viewer: FlaskClient, service: Service, query: str
) -> None:
    said(viewer, f"/dead-letters?{query}", 404)
    assert viewer.post(f"/dead-letters/redrive?{query}", data=FORM).status_code == 404
    assert service.requests == []


@pytest.mark.parametrize("query", ["error=%00", f"error={'a' * 201}", "event=%00"])
def test_a_filter_that_the_service_refuses_is_refused_with_its_reason(
    viewer: FlaskClient, service: Service, query: str
) -> None:
    service.answers[f"{PATH}?limit=200&{query}"] = (422, {"detail": "does not fit: error"})
    assert "does not fit: error" in said(viewer, f"/dead-letters?{query}", 422)
    assert "does not fit: error" in said(viewer, f"/dead-letters/redrive?{query}", 422)


def test_of_one_named_message_it_says_so_and_what_moved_nothing_is_not_listed(
    viewer: FlaskClient, service: Service
) -> None:
    named = {"service": "carrito", "event_ids": ["event-1"]}
    tell(service, redrives=(redrive(letter(1), wanted=named), redrive(id=SAGA, reason="in vain")))
    page = said(viewer)
    assert "1 named message" in page
    assert "1 named messages" not in page
    assert "in vain" not in page
    assert "Nothing like that was parked any more." in said(viewer, f"/dead-letters?done={SAGA}")


def test_it_says_what_a_redrive_did_and_what_is_parked_again(viewer: FlaskClient, service: Service) -> None:
    first, second = letter(1), letter(2, service="pagos")
    tell(service, second, redrives=(redrive(first, second), redrive(id=SAGA, finished_at=None)))
    page = said(viewer, f"/dead-letters?done={DONE}")
    assert "2 messages delivered again: 1 to carrito, 1 to pagos. 1 of them failed again" in page
    assert "it may have been cut short" in page


def test_what_is_parked_again_is_told_of_services_that_were_read_completely_only(
    viewer: FlaskClient, service: Service
) -> None:
    many = [letter(number) for number in range(200)]
    mine = letter(1, service="pagos")
    tell(service, *many, mine, redrives=(redrive(many[0], mine),))
    assert "At least 1 of them failed again" in said(viewer, f"/dead-letters?done={DONE}")
    tell(service, many[0], redrives=(redrive(many[0], mine),), query="&service=carrito")
    assert "failed again" not in said(viewer, f"/dead-letters?service=carrito&done={DONE}"), "pagos was not read"


def test_an_event_that_is_not_among_the_first_listed_can_be_named(viewer: FlaskClient, service: Service) -> None:
    tell(service, *(letter(number) for number in range(200)))
    assert '<input name="event"' in viewer.get("/dead-letters").text
    tell(service, letter(1))
    assert '<input name="event"' not in viewer.get("/dead-letters").text, "all events are links"


def test_the_token_is_requested_and_kept_where_no_script_sees_it(viewer: FlaskClient, service: Service) -> None:
    service.answers[f"{PATH}?limit=200"] = service.answers[f"{PATH}/redrive"] = (401, {"detail": "for operators"})
    assert "This is for operators" in said(viewer, status=401)
    refused = viewer.post("/dead-letters/redrive", data=FORM)
    assert (refused.status_code, 'name="token"' in refused.text) == (401, True)
    assert 'value="the table is back"' in refused.text
    service.answers[f"{PATH}/redrive"] = redrive()
    done = viewer.post("/dead-letters/redrive", data={**FORM, "token": TOKEN})
    assert {"HttpOnly", "SameSite=Strict"} <= set(done.headers["Set-Cookie"].split("; "))
    assert service.requests[-1][2]["Authorization"] == f"Bearer {TOKEN}"


def test_a_refusal_is_shown_with_its_reason_and_a_broker_that_is_away_too(
    viewer: FlaskClient, service: Service
) -> None:
    service.answers[f"{PATH}/redrive"] = (503, {"detail": "somebody else looks at the dead letters"})
    answer = viewer.post("/dead-letters/redrive", data=FORM)
    assert (answer.status_code, "somebody else looks" in answer.text) == (503, True)
    service.answers[f"{PATH}?limit=200"] = (503, {"detail": "RABBITMQ_URL is not set"})
    assert "RABBITMQ_URL is not set" in said(viewer, status=503)


def test_a_page_of_another_site_has_nothing_redriven(viewer: FlaskClient, service: Service) -> None:
    sign_in(viewer, TOKEN)
    answer = viewer.post("/dead-letters/redrive", data=FORM, headers={"Origin": "https://evil.example"})
    assert (answer.status_code, service.requests) == (403, [])


def test_empty_states_say_what_it_means(viewer: FlaskClient, service: Service) -> None:
    tell(service)
    tell(service, query="&service=pagos")
    assert "Nothing is parked" in said(viewer)
    assert "Nothing like that is parked" in said(viewer, "/dead-letters?service=pagos")

"""Dead letters over HTTP: listing and redriving them, with the records of that; on a real RabbitMQ and PostgreSQL."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlencode

import pika
import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from shared.event_bus import Event
from shared.messaging.cloud_events import to_message
from shared.testing import concurrently, wait_until
from shared.topology import dead_queue
from tests.integration.api_client import body_of, problem_of
from tests.integration.choreography_client import ROOT, Window
from tests.system.queues import Message, Queues
from tests.system.topology import declare_topology
from tests.unit.saga_choreography.histories import PAID, Story

LETTERS = f"{ROOT}/dead-letters"
REASONS = {"x-error": "ValueError: no", "x-tries": 4, "x-parked-at": "2026-01-02T03:04:05+00:00"}


@pytest.fixture
def queues(rabbitmq_url: str) -> Queues:
    declare_topology(rabbitmq_url)
    return Queues(rabbitmq_url)


@pytest.fixture
def windows(service_client: Callable[..., FlaskClient], fresh_database_url: str, rabbitmq_url: str) -> list[Window]:
    """Clients of two processes of the same service."""
    told = {"database_url": fresh_database_url, "rabbitmq_url": rabbitmq_url}
    return [Window(service_client("saga_choreography", **told)) for _ in range(2)]


@pytest.fixture
def window(windows: list[Window]) -> Window:
    return windows[0]


def park(queues: Queues, service: str, event: Event, **reasons: str) -> None:
    """Park an event as a worker does; other reasons are written with underscores."""
    message = to_message(event)
    changed = {name.replace("_", "-"): value for name, value in reasons.items()}
    headers = {**message.headers, **REASONS, **changed, "x-routing-key": event.event_type.name}
    properties = pika.BasicProperties(delivery_mode=2, headers=headers, content_type="application/json")
    queues.publish(dead_queue(service), Message(message.body, properties), exchange="")


def answered(response: Any) -> Any:
    """Return the response, which must not be "not now"."""
    return None if response.status_code == 503 else response


def redrive(window: Window, **which: Any) -> dict[str, Any]:
    body = {"reason": "the disk is back", "by": "eve", **which}
    response = wait_until(
        lambda: answered(window.post(f"{LETTERS}/redrive", body)), "they can be redriven", seconds=120
    )
    assert response.status_code == 200, response.text
    return body_of(response)


def test_a_dead_letter_is_shown_with_all_that_is_known_of_it(window: Window, queues: Queues) -> None:
    story = Story()
    event = story.events(*PAID)[-1]
    park(queues, "carrito", event)
    for _ in range(3):  # a listing leaves it there
        (letter,) = body_of(window.get(LETTERS))["items"]
    assert letter == {
        "service": "carrito",
        "event_id": str(event.id),
        "event": "payment.processed",
        "saga_id": str(story.saga_id),
        "error": "ValueError: no",
        "tries": 4,
        "parked_at": "2026-01-02T03:04:05+00:00",
        "payload": json.loads(event.payload.model_dump_json()),
    }
    assert body_of(window.get(f"{LETTERS}?service=pagos"))["items"] == []
    assert queues.depth(dead_queue("carrito")) == 1


def test_letters_of_one_event_are_redriven_and_the_others_stay(window: Window, queues: Queues) -> None:
    events = Story().events(*PAID)
    for event in events[-2:]:
        park(queues, "carrito", event)
    done = redrive(window, event=events[-1].event_type.name)
    assert {name: value for name, value in done["wanted"].items() if value} == {"event": events[-1].event_type.name}
    assert [moved["event_id"] for moved in done["moved"]] == [str(events[-1].id)]
    assert [each["event_id"] for each in body_of(window.get(LETTERS))["items"]] == [str(events[-2].id)]


@pytest.mark.parametrize(
    "which",
    [{"error": "UNDEFINED"}, {"parked_before": "2026-01-01T00:00:00+00:00"}, {"saga_id": "of the last"}],
    ids=lambda which: next(iter(which)),
)
def test_letters_are_listed_and_redriven_by_reason_saga_and_age(
    window: Window, queues: Queues, which: dict[str, str]
) -> None:
    stories = [Story() for _ in range(3)]
    for story in stories[:2]:
        park(queues, "carrito", story.events(*PAID)[-1])
    other = {"x_error": "UndefinedTable: orders", "x_parked_at": "2025-12-31T23:59:59+00:00"}
    park(queues, "carrito", stories[2].events(*PAID)[-1], **other)
    if "saga_id" in which:
        which = {"saga_id": str(stories[2].saga_id)}
    (listed,) = body_of(window.get(f"{LETTERS}?{urlencode({**which, 'limit': 1})}"))["items"]
    assert listed["saga_id"] == str(stories[2].saga_id), "it is found behind the others"
    done = redrive(window, **which)
    assert [moved["saga_id"] for moved in done["moved"]] == [str(stories[2].saga_id)]
    assert done["wanted"] | which == {**done["wanted"], **which}
    assert queues.depth(dead_queue("carrito")) == 2


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00\xff nonsense",
        b'"text"',
        b"[1.50]",
        b'{"a": "\\ud800"}',
        b"[" * 900 + b"]" * 900,
        b"9" * 5000,
        b"[1e999999]",
        b"[NaN]",
        b"\xff" * 1_000_000,
    ],
    ids=range(10),
)
def test_what_is_no_event_at_all_is_shown_too(window: Window, queues: Queues, body: bytes) -> None:
    queues.publish(
        dead_queue("pagos"), Message(body, pika.BasicProperties(headers={"ce-subject": "me\0"})), exchange=""
    )
    (letter,) = body_of(window.get(LETTERS))["items"]
    assert (letter["service"], letter["saga_id"], letter["event"]) == ("pagos", None, None)
    moved = {"service": "pagos", "event_id": letter["event_id"], "event": None, "saga_id": None}
    assert redrive(window, event_ids=[letter["event_id"]])["moved"] == [moved]


def test_what_was_redriven_comes_to_its_service_as_if_for_the_first_time(window: Window, queues: Queues) -> None:
    story = Story()
    event = story.events(*PAID)[-1]
    window.record(story.events(*PAID))
    park(queues, "carrito", event)
    done = redrive(window)
    assert done["moved"] == [
        {
            "service": "carrito",
            "event_id": str(event.id),
            "event": "payment.processed",
            "saga_id": str(story.saga_id),
        }
    ]
    (message,) = queues.take("carrito")
    assert message.body == to_message(event).body
    headers = dict(message.properties.headers or {})
    assert headers.pop("x-delivery-count", 0) == 0, "it was never given back"  # RabbitMQ 4 leaves out a count of 0
    assert headers == to_message(event).headers
    assert queues.depth(dead_queue("carrito")) == 0
    assert redrive(window)["moved"] == []


def test_only_what_was_wanted_is_redriven(window: Window, queues: Queues) -> None:
    events = [Story().events(*PAID)[-1] for _ in range(4)]
    for event in events[:3]:
        park(queues, "carrito", event)
    park(queues, "pagos", events[3])
    wanted = [str(events[1].id), str(events[3].id)]
    assert [each["event_id"] for each in redrive(window, event_ids=wanted, service="carrito")["moved"]] == wanted[:1]
    assert [each["event_id"] for each in redrive(window, event_ids=wanted)["moved"]] == wanted[1:]
    assert [each["event_id"] for each in redrive(window)["moved"]] == [str(events[0].id), str(events[2].id)]


def test_who_redrove_what_and_why_is_kept_and_shown(window: Window, queues: Queues) -> None:
    story = Story()
    window.record(story.events(*PAID))
    event = story.events(*PAID)[-1]
    park(queues, "carrito", event)
    first = redrive(window, event_ids=[str(event.id)], service="carrito")
    second = redrive(window)
    shown = body_of(window.get(LETTERS))["redrives"]
    assert shown == [second, first]
    assert (first["by"], first["reason"]) == ("eve", "the disk is back")
    known = {name: value for name, value in first["wanted"].items() if value is not None}
    assert known == {"service": "carrito", "event_ids": [str(event.id)]}
    assert first["requested_at"] <= first["finished_at"]
    (note,) = window.timeline(story.saga_id, kind="redriven")
    assert (note["by"], note["detail"]) == ("eve", "payment.processed to carrito: the disk is back")


def test_what_was_requested_is_kept_though_the_broker_is_away(
    service_client: Callable[..., FlaskClient], fresh_database_url: str
) -> None:
    nowhere = "amqp://guest:guest@127.0.0.1:1/"
    window = Window(service_client("saga_choreography", database_url=fresh_database_url, rabbitmq_url=nowhere))
    refused = window.post(f"{LETTERS}/redrive", {"reason": "hope", "by": "eve"})
    assert problem_of(refused)["type"] == "/problems/no-broker"
    assert refused.status_code == 503
    assert window.get(LETTERS).status_code == 503
    (row,) = window.rows("redrives")
    assert (row["by"], row["reason"], row["moved"], row["finished_at"]) == ("eve", "hope", [], None)


def test_without_a_broker_there_is_nothing_to_see(
    service_client: Callable[..., FlaskClient], fresh_database_url: str
) -> None:
    window = Window(service_client("saga_choreography", database_url=fresh_database_url, rabbitmq_url=None))
    assert problem_of(window.get(LETTERS))["detail"] == "RABBITMQ_URL is not set"


def test_where_no_service_ever_ran_there_are_no_dead_letters(window: Window) -> None:
    assert body_of(window.get(LETTERS))["items"] == []
    assert redrive(window)["moved"] == []


def test_everybody_who_looks_at_the_same_time_sees_every_letter(windows: list[Window], queues: Queues) -> None:
    """A reader hides the letters from others for a moment, so readers take turns, in all processes."""
    for _ in range(20):
        park(queues, "carrito", Story().events(*PAID)[-1])

    def look(window: Window) -> int:
        """Read; on a busy machine some readers are answered "not now", and repeat."""
        response = wait_until(lambda: answered(window.get(LETTERS)), "it can be looked", seconds=120)
        return len(body_of(response)["items"])

    assert concurrently(*[partial(look, windows[number % 2]) for number in range(6)], seconds=120) == [20] * 6


def test_what_many_redrive_at_the_same_time_is_redriven_once(windows: list[Window], queues: Queues) -> None:
    for _ in range(20):
        park(queues, "carrito", Story().events(*PAID)[-1])
    done = concurrently(*[partial(redrive, windows[number % 2]) for number in range(4)])
    assert sorted(len(each["moved"]) for each in done) == [0, 0, 0, 20]
    assert queues.depth("carrito") == 20


def test_who_would_have_to_wait_for_too_long_is_told(window: Window, queues: Queues) -> None:
    with window.client.application.app_context(), window.transaction() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('saga_choreography dead letters'))"))
        refused = window.get(LETTERS)
    assert (refused.status_code, problem_of(refused)["type"]) == (503, "/problems/being-looked-at")
    assert window.get(LETTERS).status_code == 200

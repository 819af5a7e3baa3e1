"""saga_choreography on a real PostgreSQL: events in, sagas out."""

import random
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from functools import partial
from itertools import chain

import pytest
from flask.testing import FlaskClient

from shared.event_bus import Event
from shared.ids import new_id
from shared.testing import concurrently
from tests.integration.api_client import body_of, problem_of
from tests.integration.choreography_client import ROOT, Window
from tests.integration.frozen_carts import NoCheckout, freeze_by
from tests.unit.saga_choreography.histories import BEGINNING, CANCELLED, COMPLETED, HISTORIES, PAID, Story


@pytest.fixture
def window(service_client: Callable[..., FlaskClient], fresh_database_url: str) -> Window:
    return Window(service_client("saga_choreography", database_url=fresh_database_url))


def test_a_completed_checkout_looks_like_an_orchestrated_one(window: Window) -> None:
    story = Story()
    window.record(story.events(*COMPLETED))
    saga = window.saga(story.saga_id)
    steps = saga.pop("steps")
    assert saga == {
        "saga_id": str(story.saga_id),
        "status": "completed",
        "saga_pattern": "choreographed",
        "cart_id": str(story.cart_id),
        "user_id": "ana",
        "payment_method": "paypal",
        "total": Decimal("19.98"),
        "order_id": str(story.order_id),
        "payment_id": str(story.payment_id),
        "error": None,
        "fault": None,
        "turned_back": False,
        "created_at": BEGINNING.isoformat(),
        "updated_at": BEGINNING.replace(second=14).isoformat(),
        "ended_at": BEGINNING.replace(second=14).isoformat(),
    }
    assert [(step["name"], step["status"], step["attempts"]) for step in steps] == [
        ("reserve_inventory", "succeeded", 1),
        ("process_payment", "succeeded", 1),
        ("create_order", "succeeded", 1),
        ("commit_inventory", "succeeded", 1),
    ]
    assert steps[1]["started_at"] == BEGINNING.replace(second=7).isoformat()
    assert steps[1]["finished_at"] == BEGINNING.replace(second=9).isoformat()


def test_any_number_of_sagas_shows_the_same_whoever_records_what_and_however_often(window: Window) -> None:
    """All histories at once, their events shuffled, each delivered to three of six recorders in small batches."""
    chance = random.Random(1)
    stories = {Story(): names for names in HISTORIES.values() for _ in range(3)}
    everything = [*chain.from_iterable(story.events(*names) for story, names in stories.items())] * 3
    chance.shuffle(everything)
    batches = [everything[start : start + 40] for start in range(0, len(everything), 40)]

    def record(mine: list[list[Event]]) -> None:
        for batch in mine:
            window.record(batch)

    concurrently(*[partial(record, batches[number::6]) for number in range(6)])
    assert len(window.rows("events")) == sum(len(names) for names in stories.values())
    for story, names in stories.items():
        alone = Story()
        window.record(alone.events(*names))
        same = ("status", "error", "total", "created_at", "updated_at", "ended_at", "user_id", "steps")
        shown, expected = window.saga(story.saga_id), window.saga(alone.saga_id)
        assert [shown[name] for name in same] == [expected[name] for name in same], names


def test_a_saga_says_what_it_is_to_suffer_also_when_it_is_made_anew(window: Window) -> None:
    (begun,) = Story().events(*COMPLETED[:1])
    window.record([replace(begun, fault="process_payment=slow")])
    assert [saga["fault"] for saga in window.sagas()["items"]] == ["process_payment=slow"]
    window.execute("UPDATE saga_choreography.sagas SET facts = '{}'")
    window.rebuild()
    assert [saga["fault"] for saga in window.sagas()["items"]] == ["process_payment=slow"]


def test_sagas_are_made_anew_from_their_events(window: Window) -> None:
    for names in HISTORIES.values():
        window.record(Story().events(*names))
        window.record(Story().events(*names[:3]))
    times = ("moved_at", "deadline_at", "due_at", "changed")  # of the watchdog and the feed: they change
    before = window.rows("sagas")
    window.execute("DELETE FROM saga_choreography.sagas WHERE status <> 'running'")
    window.execute("UPDATE saga_choreography.sagas SET facts = '{}', status = 'pending', user_id = NULL")
    assert window.rebuild() == len(before)
    after = window.rows("sagas")
    for row in (*before, *after):
        for name in times:
            row.pop(name)
    assert after == before


def test_a_timeline_has_every_event_with_its_publisher_and_its_cause(window: Window) -> None:
    story = Story()
    events = story.events(*HISTORIES["declined"])
    window.record(events[::-1])
    timeline = window.timeline(story.saga_id)
    assert [entry["event"] for entry in timeline] == list(HISTORIES["declined"])
    assert [entry["cause"] for entry in timeline] == [None, *[str(event.id) for event in events[:-1]]]
    failed = timeline[4]
    assert (failed["kind"], failed["publisher"], failed["detail"]) == ("event", "pagos", "no")
    assert (failed["step"], failed["direction"], failed["outcome"]) == ("process_payment", "action", "refused")
    assert (failed["event_id"], failed["started_at"]) == (str(events[4].id), events[4].time.isoformat())
    assert failed["received_at"] > failed["started_at"]


def test_a_commit_that_had_been_done_is_undone_and_one_that_had_not_is_refused(window: Window) -> None:
    undone, expired = (Story(), Story())
    window.record(undone.events(*COMPLETED, *CANCELLED))
    window.record(expired.events(*HISTORIES["hold expired"]))
    (entry,) = window.timeline(undone.saga_id, event="inventory.commit.failed")
    assert (entry["step"], entry["direction"], entry["outcome"]) == ("commit_inventory", "compensation", "succeeded")
    (entry,) = window.timeline(expired.saga_id, event="inventory.commit.failed")
    assert (entry["step"], entry["direction"], entry["outcome"]) == ("commit_inventory", "action", "refused")


def test_sagas_are_listed_newest_first_by_status_and_cart_in_pages(window: Window) -> None:
    stories = [Story() for _ in range(5)]
    for number, story in enumerate(stories):
        window.record(story.events(*(COMPLETED if number % 2 else PAID)))
    newest_first = [str(story.saga_id) for story in reversed(stories)]
    first = window.sagas(limit=3)
    assert [item["saga_id"] for item in first["items"]] == newest_first[:3]
    second = window.sagas(limit=3, cursor=first["next_cursor"])
    assert ([item["saga_id"] for item in second["items"]], second["next_cursor"]) == (newest_first[3:], None)
    assert [item["saga_id"] for item in window.sagas(status="completed")["items"]] == newest_first[1::2]
    (one,) = window.sagas(cart_id=stories[2].cart_id)["items"]
    assert (one["saga_id"], one["status"]) == (str(stories[2].saga_id), "running")


def test_a_saga_that_nobody_told_of_is_not_found(window: Window) -> None:
    for path in ("", "/timeline"):
        problem_of(window.get(f"{ROOT}/{new_id()}{path}"))
    freeze_by(window, NoCheckout())
    assert problem_of(window.post(f"{ROOT}/{new_id()}/compensate", {}))["status"] == 404


def test_the_audit_counts_what_was_heard_of(window: Window) -> None:
    done, live = Story(), [Story(), Story()]
    window.record(done.events(*COMPLETED))
    window.record(live[0].events(*PAID))
    window.record(Story(cart_id=live[0].cart_id).events(*PAID[:3]))
    audit = window.audit()
    assert audit["sagas"] == {"completed": 1, "running": 2}
    assert audit["live"] == 2
    assert audit["carts_with_two_live_sagas"] == [str(live[0].cart_id)]
    assert body_of(window.get("/health"))["status"] == "ok"

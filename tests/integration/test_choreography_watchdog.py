"""The watchdog of choreographed sagas at deadlines and after silence, on a real PostgreSQL."""

import threading
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from saga_choreography.domain import Limits
from shared.event_bus import CheckoutCancelRequested, SagaResendRequested
from shared.testing import concurrently
from tests.integration.api_client import body_of
from tests.integration.choreography_client import ROOT, Window
from tests.integration.frozen_carts import AnyCheckout, checkout_body, freeze_by
from tests.unit.saga_choreography.histories import CANCELLED, COMMITTED, COMPLETED, HISTORIES, ORDERED, PAID, Story

NEVER, AT_ONCE = 600.0, 1e-6


@pytest.fixture
def window(service_client: Callable[..., FlaskClient], fresh_database_url: str) -> Window:
    window = Window(service_client("saga_choreography", database_url=fresh_database_url))
    freeze_by(window, AnyCheckout())
    return window


@pytest.mark.parametrize("names", [(), PAID, ORDERED])
def test_a_saga_whose_time_is_over_is_told_to_turn_back_unless_it_is_past_its_pivot(
    window: Window, names: tuple[str, ...]
) -> None:
    window.limits = Limits(AT_ONCE, NEVER, NEVER)
    story = Story()
    limits = {"forward_deadline_seconds": AT_ONCE, "stuck_seconds": NEVER, "resend_seconds": NEVER}
    settings = window.client.application.extensions["settings"]
    window.client.application.extensions["settings"] = settings.model_copy(update=limits)
    window.post(f"{ROOT}/checkout", checkout_body(story.cart_id, saga_id=story.saga_id))
    window.record(story.events(*names))
    concurrently(*[window.watch] * 4)
    (request,) = window.staged()
    assert request.payload == CheckoutCancelRequested(
        saga_id=story.saga_id,
        cart_id=story.cart_id,
        reason="not completed within 1e-06 s",
        by="watchdog",
        only_before_pivot=True,
    )
    assert window.saga(story.saga_id)["status"] == ("running" if names else "pending")
    assert window.watch() == 0
    assert len(window.staged()) == 1


@pytest.mark.parametrize("history", ["declined", "late, and the pivot won", "cancelled when paid"])
def test_other_sagas_are_left_alone_by_a_deadline(window: Window, history: str) -> None:
    window.limits = Limits(AT_ONCE, NEVER, NEVER)
    window.record(Story().events(*HISTORIES[history][:-1]))
    window.record(Story().events(*COMMITTED))
    while window.watch():
        pass
    assert window.staged() == []


def test_many_watchdogs_at_once_ask_once_for_each_saga(window: Window) -> None:
    window.limits = Limits(AT_ONCE, NEVER, NEVER)
    stories = [Story() for _ in range(250)]
    window.record([event for story in stories for event in story.events(*PAID)])

    def watch() -> None:
        while window.watch():
            pass

    concurrently(*[watch] * 4)
    requested = [event.saga_id for event in window.staged()]
    assert sorted(requested) == sorted(story.saga_id for story in stories)


def test_no_end_is_overtaken_by_a_deadline(window: Window) -> None:
    """A saga that ends while watchdogs check it is completed, and gets at most one cancellation."""
    window.limits = Limits(AT_ONCE, NEVER, NEVER)
    stories = [Story() for _ in range(60)]
    window.record([event for story in stories for event in story.events(*ORDERED)])
    done = threading.Event()

    def end() -> None:
        for story in stories:
            window.record(story.events(*COMPLETED)[len(ORDERED) :])
        done.set()

    def watch() -> None:
        while not done.is_set():
            window.watch()

    concurrently(end, watch, watch)
    assert {window.saga(story.saga_id)["status"] for story in stories} == {"completed"}
    assert len(window.staged()) == len({event.saga_id for event in window.staged()})


def test_a_saga_that_stands_still_is_stuck_until_it_moves(window: Window) -> None:
    window.limits = Limits(NEVER, AT_ONCE, NEVER)
    story = Story()
    events = story.events(*COMPLETED)
    window.record(events[:6])
    assert window.watch() == 1
    assert window.saga(story.saga_id)["status"] == "stuck"
    assert [item["saga_id"] for item in window.sagas(status="stuck")["items"]] == [str(story.saga_id)]
    (note,) = window.timeline(story.saga_id, kind="stuck")
    assert note["by"] == "watchdog"
    assert window.watch() == 0, "for as long again"
    assert 'sagas_live{status="stuck",style="choreographed"} 1.0' in window.client.get("/metrics").text
    window.record(events[:7])
    assert window.saga(story.saga_id)["status"] == "running"
    assert window.watch() == 1
    assert len(window.timeline(story.saga_id, kind="stuck")) == 2
    window.record(events)
    assert window.saga(story.saga_id)["status"] == "completed"
    assert window.watch() == 0


def test_a_stuck_saga_can_be_undone(window: Window) -> None:
    window.limits = Limits(NEVER, AT_ONCE, NEVER)
    story = Story()
    window.record(story.events(*PAID))
    window.watch()
    assert body_of(window.post(f"{ROOT}/{story.saga_id}/compensate", {}))["status"] == "compensating"


def test_a_saga_is_stuck_on_its_way_back_too(window: Window) -> None:
    window.limits = Limits(AT_ONCE, AT_ONCE, NEVER)
    story = Story()
    window.record(story.events(*COMPLETED, *CANCELLED[:3]))
    window.watch()
    assert window.saga(story.saga_id)["status"] == "stuck"
    assert window.staged() == []


def test_the_watchdog_sleeps_until_the_first_saga_is_due(window: Window) -> None:
    window.limits = Limits(200, 300, NEVER)
    assert window.idle_seconds() == 200
    window.record(Story().events(*PAID))
    assert 150 < window.idle_seconds() <= 200
    window.limits = Limits(100, 300, NEVER)
    assert window.idle_seconds() == 100


def test_a_deadline_comes_before_the_time_to_be_called_stuck_and_is_followed_by_it(window: Window) -> None:
    window.limits = Limits(AT_ONCE, 300, NEVER)
    story = Story()
    window.record(story.events(*PAID))
    assert window.watch() == 1
    assert len(window.staged()) == 1
    assert window.saga(story.saga_id)["status"] == "running"
    (row,) = window.rows("sagas")
    assert (row["due_at"] - row["moved_at"]).total_seconds() == 300


def test_the_events_of_a_silent_saga_are_sent_again_before_it_is_stuck_and_at_growing_intervals(window: Window) -> None:
    window.limits = Limits(NEVER, 300, 60)
    story = Story()
    window.record(story.events(*PAID))

    def silent_for(seconds: float) -> tuple[int, str]:
        window.be_silent(story.saga_id, seconds)
        while window.watch():
            pass
        return len(window.timeline(story.saga_id, kind="retry_requested")), window.saga(story.saga_id)["status"]

    seen = {seconds: silent_for(seconds) for seconds in (50, 70, 130, 150, 280, 310, 600, 640, 1200, 1300)}
    assert seen == {
        50: (0, "running"),
        70: (1, "running"),
        130: (1, "running"),
        150: (2, "running"),  # it was silent for twice as long
        280: (2, "running"),
        310: (3, "stuck"),
        600: (3, "stuck"),
        640: (4, "stuck"),
        1200: (4, "stuck"),
        1300: (5, "stuck"),
    }
    assert {type(event.payload) for event in window.staged()} == {SagaResendRequested}
    assert len(window.timeline(story.saga_id, kind="stuck")) == 1
    window.record(story.events(*ORDERED))
    assert [silent_for(seconds) for seconds in (50, 70)] == [(5, "running"), (6, "running")]
    (note, *_) = window.timeline(story.saga_id, kind="retry_requested")
    assert (note["by"], note["reason"]) == ("watchdog", "nothing has happened for 60 s or more")


def test_a_copy_of_an_event_is_no_sign_of_life(window: Window) -> None:
    window.limits = Limits(NEVER, 300, 60)
    story = Story()
    events = story.events(*PAID)
    window.record(events)
    window.be_silent(story.saga_id, 360)
    window.record(events)
    window.watch()
    assert window.saga(story.saga_id)["status"] == "stuck"


def test_a_deadline_cancels_and_nothing_is_sent_again_at_the_same_moment(window: Window) -> None:
    window.limits = Limits(AT_ONCE, NEVER, AT_ONCE)
    story = Story()
    window.record(story.events(*PAID))
    window.watch()
    assert [type(event.payload) for event in window.staged()] == [CheckoutCancelRequested]

"""The way in to choreographed checkouts, what operators ask for, and what the watchdog does, on a real PostgreSQL."""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from saga_choreography.domain import Limits
from saga_choreography.recording import LOCK
from shared.event_bus import CheckoutCancelRequested, SagaResendRequested
from shared.http.client import PeerRefused
from shared.ids import new_id
from shared.saga.frozen import FrozenCart, FrozenCheckout
from shared.saga.setup import EXTENSION
from shared.saga.views import CheckoutIn
from shared.testing import concurrently, wait_until
from tests.integration.api_client import body_of, problem_of
from tests.integration.choreography_client import ROOT, Window
from tests.unit.saga_choreography.histories import CANCELLED, COMMITTED, COMPLETED, HISTORIES, ORDERED, PAID, Story

NEVER, AT_ONCE = 600.0, 1e-6


class FrozenCarts:
    """carrito, as far as the way in sees it: a cart is frozen for one saga, named again under the same key."""

    def __init__(self, open_cart: UUID) -> None:
        self._open = open_cart
        self._sagas: dict[str | None, UUID] = {}

    def begin_checkout(self, body: CheckoutIn, key: str | None, trace: str | None) -> FrozenCheckout:
        del trace
        if body.cart_id != self._open or (self._sagas and key not in self._sagas):
            raise PeerRefused(
                {"type": "/problems/cart-not-open", "title": "no", "status": 409, "detail": "it is not open"}
            )
        return frozen(body, self._sagas.setdefault(key, new_id()))


class AnyCheckout:
    """carrito, as one that froze just what the request says."""

    def find_checkout(self, body: CheckoutIn, saga_id: UUID) -> FrozenCheckout:
        return frozen(body, saga_id)


def frozen(body: CheckoutIn, saga_id: UUID) -> FrozenCheckout:
    return FrozenCheckout(body, FrozenCart(saga_id, (), 0, {}), None)


@pytest.fixture
def window(service_client: Callable[..., FlaskClient], fresh_database_url: str) -> Window:
    client = service_client("saga_choreography", database_url=fresh_database_url)
    window = Window(client)
    freeze_by(window, AnyCheckout())
    return window


def freeze_by(window: Window, carrito: Any) -> None:
    """Have the service freeze carts by this fake instead of its client of carrito."""
    extensions = window.client.application.extensions
    extensions[EXTENSION] = replace(extensions[EXTENSION], carrito=carrito)


def checkout_body(cart_id: UUID, **more: Any) -> dict[str, Any]:
    return {"cart_id": cart_id, "user_id": "ana", "payment_method": "paypal", "billing_address": "here", **more}


# ---- the way in ----


def test_a_checkout_is_seen_before_anything_has_happened(window: Window) -> None:
    story = Story()
    freeze_by(window, FrozenCarts(story.cart_id))
    response = window.post(f"{ROOT}/checkout", checkout_body(story.cart_id), key="once")
    accepted = body_of(response)
    assert response.status_code == 202
    assert accepted == {**accepted, "status": "pending", "cart_id": str(story.cart_id), "user_id": "ana"}
    assert response.headers["Location"] == f"{ROOT}/{accepted['saga_id']}"
    saga = window.saga(accepted["saga_id"])
    assert (saga["status"], {step["status"] for step in saga["steps"]}) == ("pending", {"pending"})
    assert window.post(f"{ROOT}/checkout", checkout_body(story.cart_id), key="once").data == response.data
    assert problem_of(window.post(f"{ROOT}/checkout", checkout_body(story.cart_id), key="other"))["status"] == 409


def test_a_saga_that_carrito_hands_over_is_seen_once_whether_its_events_came_before_or_not(window: Window) -> None:
    early, late = Story(), Story()
    window.record(early.events(*PAID))
    for story in (early, late):
        body = checkout_body(story.cart_id, saga_id=story.saga_id)
        for _ in range(2):
            assert window.post(f"{ROOT}/checkout", body).status_code == 202
    window.record(late.events(*PAID))
    for story in (early, late):
        saga = window.saga(story.saga_id)
        assert (saga["status"], saga["user_id"], saga["payment_method"]) == ("running", "ana", "paypal")
    assert len(window.rows("sagas")) == 2


def test_a_checkout_that_is_known_waits_for_nobody_who_records_its_events(window: Window) -> None:
    """Who locks a saga here while others are made would be in a deadlock with those who lock them there."""
    story = Story()
    window.record(story.events(*PAID)[1:])
    body = checkout_body(story.cart_id, saga_id=story.saga_id)
    with window.transaction() as connection:
        connection.execute(LOCK, {"ids": [story.saga_id]})
        (response,) = concurrently(lambda: window.post(f"{ROOT}/checkout", body))
    assert response.status_code == 202
    assert window.saga(story.saga_id)["user_id"] is None, "until its beginning comes"


def test_a_saga_is_about_one_checkout_only(window: Window) -> None:
    story = Story()
    window.record(story.events(*PAID))
    for other in (checkout_body(new_id()), {**checkout_body(story.cart_id), "user_id": "bob"}):
        refused = window.post(f"{ROOT}/checkout", {**other, "saga_id": story.saga_id})
        assert problem_of(refused)["type"] == "/problems/saga-of-another-checkout"


def test_who_prefers_to_wait_is_woken_by_the_end(window: Window) -> None:
    story = Story()
    headers = {"Prefer": "wait=30", "Content-Type": "application/json"}
    body = CheckoutIn.model_validate(checkout_body(story.cart_id, saga_id=story.saga_id)).model_dump_json()

    def ask() -> tuple[int, Any, str]:
        response = window.client.post(f"{ROOT}/checkout", data=body, headers=headers)
        return response.status_code, response.json, response.headers["Preference-Applied"]

    def happen() -> tuple[int, Any, str]:
        wait_until(lambda: window.rows("sagas"), "the request came")
        for event in story.events(*COMPLETED):
            window.record([event])
        return 0, None, ""

    (status, saga, applied), _ = concurrently(ask, happen)
    assert (status, saga["status"], applied) == (200, "completed", "wait=30")
    assert {step["status"] for step in saga["steps"]} == {"succeeded"}


def test_a_saga_that_ended_before_its_request_came_is_answered_at_once(window: Window) -> None:
    story = Story()
    window.record(story.events(*COMPLETED))
    body = CheckoutIn.model_validate(checkout_body(story.cart_id, saga_id=story.saga_id)).model_dump_json()
    headers = {"Prefer": "wait=600", "Content-Type": "application/json"}
    response = window.client.post(f"{ROOT}/checkout", data=body, headers=headers)
    assert (response.status_code, body_of(response)["status"]) == (200, "completed")


def test_requests_that_come_together_are_answered_each_for_itself(window: Window) -> None:
    stories = [Story() for _ in range(12)]
    window.record([event for story in stories[:6] for event in story.events(*PAID)])

    def ask(number: int) -> int:
        story = stories[number // 2]
        user = "ana" if number % 2 else "bob"
        return window.post(
            f"{ROOT}/checkout", {**checkout_body(story.cart_id, saga_id=story.saga_id), "user_id": user}
        ).status_code

    statuses = concurrently(*[partial(ask, number) for number in range(24)])
    assert statuses[:12] == [409, 202] * 6, "for whom it is known"
    pairs = zip(statuses[12::2], statuses[13::2], strict=True)
    assert [sorted(pair) for pair in pairs] == [[202, 409]] * 6, "for one of the two"


# ---- undoing ----


@pytest.mark.parametrize("names", [(), PAID, ORDERED, COMMITTED, COMPLETED])
def test_a_saga_that_goes_forward_or_is_completed_is_told_to_turn_back_once(
    window: Window, names: tuple[str, ...]
) -> None:
    story = Story()
    window.post(f"{ROOT}/checkout", checkout_body(story.cart_id, saga_id=story.saga_id))
    window.record(story.events(*names))
    ask = partial(window.post, f"{ROOT}/{story.saga_id}/compensate", {"reason": "changed my mind", "by": "eve"})
    answers = concurrently(*[ask] * 8)
    assert {(answer.status_code, body_of(answer)["status"]) for answer in answers} == {(202, "compensating")}
    assert body_of(answers[0])["error"] == "changed my mind"
    staged = window.staged()
    (request,) = [event for event in staged if isinstance(event.payload, CheckoutCancelRequested)]
    assert {type(event.payload) for event in staged} <= {CheckoutCancelRequested, SagaResendRequested}
    assert request.payload == CheckoutCancelRequested(
        saga_id=story.saga_id,
        cart_id=story.cart_id,
        reason="changed my mind",
        by="eve",
        only_before_pivot=False,
    )
    assert request.trace is not None
    assert f"outbox_waiting {len(staged)}.0" in window.client.get("/metrics").text
    notes = window.timeline(story.saga_id, kind="compensation_asked")
    assert [(note["by"], note["reason"]) for note in notes] == [("eve", "changed my mind")] * 8
    (event,) = window.timeline(story.saga_id, event="checkout.cancel.requested")
    assert (event["by"], event["detail"], event["publisher"]) == ("eve", "changed my mind", "saga_choreography")


def test_what_was_requested_is_the_same_event_when_it_comes_back(window: Window) -> None:
    story = Story()
    window.record(story.events(*COMPLETED))
    window.post(f"{ROOT}/{story.saga_id}/compensate", {})
    window.record(window.staged())
    assert len(window.timeline(story.saga_id, event="checkout.cancel.requested")) == 1


@pytest.mark.parametrize("history", ["declined", "cancelled when paid", "hold expired"])
def test_undoing_what_is_being_undone_or_was_changes_nothing(window: Window, history: str) -> None:
    """Only that of one that is on its way all events are sent again, lest one was lost; and who wanted it is kept."""
    for names, sent_again in ((HISTORIES[history], []), (HISTORIES[history][:-2], [SagaResendRequested])):
        story = Story()
        window.record(story.events(*names))
        before = window.saga(story.saga_id)
        said = {"by": "eve", "reason": "to be sure"}
        response = window.post(f"{ROOT}/{story.saga_id}/compensate", said)
        assert (response.status_code, body_of(response)) == (202, before)
        (note,) = window.timeline(story.saga_id, kind="compensation_asked")
        assert {name: note[name] for name in said} == said
        assert window.timeline(story.saga_id, kind="retry_asked") == []
        assert [type(event.payload) for event in window.staged()] == sent_again


def test_an_operator_undoes_what_a_deadline_could_not(window: Window) -> None:
    story = Story()
    window.record(story.events(*HISTORIES["late, and the pivot won"]))
    assert body_of(window.post(f"{ROOT}/{story.saga_id}/compensate", {}))["status"] == "compensating"
    assert len(window.staged()) == 1


# ---- trying again ----


@pytest.mark.parametrize("names", [(), PAID, COMMITTED, HISTORIES["cancelled when paid"][:-1]])
def test_every_service_is_told_to_send_the_events_of_a_saga_that_has_not_ended(
    window: Window, names: tuple[str, ...]
) -> None:
    story = Story()
    window.post(f"{ROOT}/checkout", checkout_body(story.cart_id, saga_id=story.saga_id))
    window.record(story.events(*names))
    before = window.saga(story.saga_id)
    response = window.post(f"{ROOT}/{story.saga_id}/retry", {"reason": "a queue was purged", "by": "eve"})
    assert (response.status_code, body_of(response)) == (202, before)
    (request,) = window.staged()
    assert request.payload == SagaResendRequested(
        saga_id=story.saga_id, cart_id=story.cart_id, reason="a queue was purged", by="eve"
    )
    (note,) = window.timeline(story.saga_id, kind="retry_asked")
    assert (note["by"], note["reason"], note["detail"]) == ("eve", "a queue was purged", None)


def test_what_the_window_has_sent_is_sent_again_too_but_not_its_requests_to_the_others(
    window: Window,
) -> None:
    story = Story()
    window.record(story.events(*COMPLETED))
    window.post(f"{ROOT}/{story.saga_id}/compensate", {})
    [cancel] = window.send()
    window.post(f"{ROOT}/{story.saga_id}/retry", {})
    assert [event.id for event in window.send() if event.id == cancel.id] == [cancel.id]
    window.post(f"{ROOT}/{story.saga_id}/retry", {})
    again = window.send()
    assert [event.id for event in again if event.id == cancel.id] == [cancel.id]
    assert Counter(type(event.payload) for event in again) == {CheckoutCancelRequested: 1, SagaResendRequested: 1}


def test_nothing_is_sent_again_of_a_saga_that_has_ended_or_that_there_is_not(window: Window) -> None:
    for history, status in (("completed", "completed"), ("declined", "compensated")):
        story = Story()
        window.record(story.events(*HISTORIES[history]))
        problem = problem_of(window.post(f"{ROOT}/{story.saga_id}/retry", {}))
        assert (problem["type"], problem["saga_status"]) == ("/problems/saga-ended", status)
    assert window.post(f"{ROOT}/{new_id()}/retry", {}).status_code == 404
    assert window.staged() == []


# ---- watching ----


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
    """A saga that ends while watchdogs look at it is completed, and told to turn back once at most."""
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
    assert 'sagas_live{status="stuck"} 1.0' in window.client.get("/metrics").text
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
        return len(window.timeline(story.saga_id, kind="retry_asked")), window.saga(story.saga_id)["status"]

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
    (note, *_) = window.timeline(story.saga_id, kind="retry_asked")
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

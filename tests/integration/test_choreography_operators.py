"""Begun checkouts and operators' requests at saga_choreography, on a real PostgreSQL."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from flask.testing import FlaskClient

from saga_choreography.saga_store import LOCK_FACTS
from shared.event_bus import CheckoutCancelRequested, SagaResendRequested
from shared.ids import new_id
from shared.saga.views import CheckoutIn
from shared.testing import concurrently, wait_until
from tests.integration.api_client import body_of, problem_of
from tests.integration.choreography_client import ROOT, Window
from tests.integration.frozen_carts import AnyCheckout, FrozenCarts, checkout_body, freeze_by
from tests.unit.saga_choreography.histories import COMMITTED, COMPLETED, HISTORIES, ORDERED, PAID, Story


@pytest.fixture
def window(service_client: Callable[..., FlaskClient], fresh_database_url: str) -> Window:
    window = Window(service_client("saga_choreography", database_url=fresh_database_url))
    freeze_by(window, AnyCheckout())
    return window


# Checkouts.


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
    """Locking a saga's row here during an insert would deadlock with the recorders of its events."""
    story = Story()
    window.record(story.events(*PAID)[1:])
    body = checkout_body(story.cart_id, saga_id=story.saga_id)
    with window.transaction() as connection:
        connection.execute(LOCK_FACTS, {"ids": [story.saga_id]})
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


# Compensations.


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
    assert f'outbox_waiting{{service="saga_choreography"}} {len(staged)}.0' in window.client.get("/metrics").text
    notes = window.timeline(story.saga_id, kind="compensation_requested")
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
    """A saga that is turning back gets all events sent again, in case one was lost; the request is recorded."""
    for names, sent_again in ((HISTORIES[history], []), (HISTORIES[history][:-2], [SagaResendRequested])):
        story = Story()
        window.record(story.events(*names))
        before = window.saga(story.saga_id)
        said = {"by": "eve", "reason": "to be sure"}
        response = window.post(f"{ROOT}/{story.saga_id}/compensate", said)
        assert (response.status_code, body_of(response)) == (202, before)
        (note,) = window.timeline(story.saga_id, kind="compensation_requested")
        assert {name: note[name] for name in said} == said
        assert window.timeline(story.saga_id, kind="retry_requested") == []
        assert [type(event.payload) for event in window.staged()] == sent_again


def test_an_operator_undoes_what_a_deadline_could_not(window: Window) -> None:
    story = Story()
    window.record(story.events(*HISTORIES["late, and the pivot won"]))
    assert body_of(window.post(f"{ROOT}/{story.saga_id}/compensate", {}))["status"] == "compensating"
    assert len(window.staged()) == 1


# Retries.


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
    (note,) = window.timeline(story.saga_id, kind="retry_requested")
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

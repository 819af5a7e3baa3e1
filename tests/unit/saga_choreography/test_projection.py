"""Events, in any order and any number of copies, give one state of the saga."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saga_choreography.choreography import CHECKOUT
from saga_choreography.projection import (
    StepView,
    ended_at,
    error_of,
    may_be_late,
    merge,
    status_of,
    steps_of,
    times_of,
    turned_back,
)
from shared.event_bus import CONTRACT, Event
from tests.unit.saga_choreography.histories import (
    CANCELLED,
    COMMITTED,
    COMPLETED,
    HISTORIES,
    ORDERED,
    PAID,
    RESERVED,
    Story,
    backward,
    prefixes,
)

STEPS = [step.name for step in CHECKOUT.steps]
STORY = Story()


def seen(events: list[Event]) -> tuple[Any, ...]:
    """Return all that is shown of these events."""
    facts = merge({}, events)
    return status_of(facts), error_of(CHECKOUT, facts), steps_of(CHECKOUT, facts), times_of(facts), ended_at(facts)


def after(*names: str) -> dict[str, Any]:
    facts = merge({}, STORY.events(*names))
    return {
        "status": str(status_of(facts)),
        "error": error_of(CHECKOUT, facts),
        "steps": [str(step.status) for step in steps_of(CHECKOUT, facts)],
    }


def step(name: str, *names: str) -> StepView:
    return steps_of(CHECKOUT, merge({}, STORY.events(*names)))[STEPS.index(name)]


histories = st.sampled_from(sorted(HISTORIES)).map(lambda name: HISTORIES[name])


@settings(max_examples=300, deadline=None, derandomize=True)
@given(data=st.data(), names=histories)
def test_any_order_and_any_repetition_of_events_gives_the_same_saga(
    data: st.DataObject, names: tuple[str, ...]
) -> None:
    told = STORY.events(*names[: data.draw(st.integers(1, len(names)))])
    again = data.draw(st.lists(st.sampled_from(told), max_size=10))
    shuffled = data.draw(st.permutations([*told, *again]))
    assert seen(shuffled) == seen(told)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(data=st.data(), names=histories)
def test_events_in_any_batches_give_the_same_saga(data: st.DataObject, names: tuple[str, ...]) -> None:
    told = data.draw(st.permutations(STORY.events(*names)))
    cut = data.draw(st.integers(0, len(told)))
    assert merge(merge({}, told[:cut]), told[cut:]) == merge({}, told)
    assert merge(merge({}, told[cut:]), told[:cut]) == merge({}, told)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(data=st.data(), first=histories, second=histories)
def test_so_do_events_that_contradict_each_other(
    data: st.DataObject, first: tuple[str, ...], second: tuple[str, ...]
) -> None:
    """No saga has such a history, but there must be one result."""
    told = [*STORY.events(*first), *Story(STORY.saga_id, reason="another").events(*second)]
    assert seen(data.draw(st.permutations(told))) == seen(told)


@pytest.mark.parametrize(
    ("history", "status", "error", "steps"),
    [
        ("completed", "completed", None, ["succeeded"] * 4),
        ("sold out", "compensated", "reserve_inventory: no", ["failed", "skipped", "skipped", "skipped"]),
        ("declined", "compensated", "process_payment: no", ["compensated", "failed", "skipped", "skipped"]),
        ("order refused", "compensated", "create_order: no", ["compensated", "compensated", "failed", "skipped"]),
        ("hold expired", "compensated", "commit_inventory: no", ["compensated"] * 3 + ["failed"]),
        ("cancelled before it began", "compensated", "no", ["skipped"] * 4),
        ("cancelled when reserved", "compensated", "no", ["compensated", "skipped", "skipped", "skipped"]),
        ("cancelled when paid", "compensated", "no", ["compensated", "compensated", "skipped", "skipped"]),
        ("cancelled when ordered", "compensated", "no", ["compensated", "compensated", "compensated", "skipped"]),
        ("undone", "compensated", "no", ["compensated"] * 4),
        ("late", "compensated", "no", ["compensated", "compensated", "skipped", "skipped"]),
        ("late, and the pivot won", "completed", None, ["succeeded"] * 4),
        ("late, completed, and undone", "compensated", "no", ["compensated"] * 4),
    ],
)
def test_every_history_ends_as_the_orchestrators_would(
    history: str, status: str, error: str | None, steps: list[str]
) -> None:
    assert after(*HISTORIES[history]) == {"status": status, "error": error, "steps": steps}


@pytest.mark.parametrize("history", HISTORIES)
def test_what_only_the_last_event_tells_of_is_never_in_doubt(history: str) -> None:
    """The end may arrive before earlier events: no step of an ended saga is shown as running."""
    names = HISTORIES[history]
    ended = steps_of(CHECKOUT, merge({}, STORY.events(*names)[-1:]))
    under_way = {"pending", "running", "compensating"}
    assert not under_way & {step.status for step in ended}


@pytest.mark.parametrize(
    ("names", "steps"),
    [
        ((), ["pending", "pending", "pending", "pending"]),
        (RESERVED[:1], ["running", "pending", "pending", "pending"]),
        (RESERVED[:2], ["running", "pending", "pending", "pending"]),
        (RESERVED, ["succeeded", "running", "pending", "pending"]),
        (PAID, ["succeeded", "succeeded", "running", "pending"]),
        (ORDERED, ["succeeded", "succeeded", "succeeded", "running"]),
        (COMMITTED, ["succeeded"] * 4),
        (PAID[-1:], ["succeeded", "succeeded", "running", "pending"]),  # its causes have not arrived yet
    ],
)
def test_a_step_runs_from_the_fact_that_asks_for_it(names: tuple[str, ...], steps: list[str]) -> None:
    assert after(*names)["steps"] == steps


def test_a_completed_checkout_is_undone_from_its_last_step_to_its_first() -> None:
    seen_in_turn = [after(*COMPLETED, *CANCELLED[:length]) for length in range(1, len(CANCELLED) + 1)]
    assert [each["status"] for each in seen_in_turn] == ["compensating"] * 5 + ["compensated"]
    assert [each["steps"] for each in seen_in_turn] == [
        ["succeeded", "succeeded", "succeeded", "compensating"],
        ["succeeded", "succeeded", "compensating", "compensated"],
        ["succeeded", "compensating", "compensated", "compensated"],
        ["compensating", "compensated", "compensated", "compensated"],
        ["compensated"] * 4,
        ["compensated"] * 4,
    ]


@pytest.mark.parametrize("history", HISTORIES)
def test_a_status_never_goes_back_but_for_a_completed_saga_that_is_undone(history: str) -> None:
    order = ["pending", "running", "completed", "compensating", "compensated"]
    places = [order.index(after(*names)["status"]) for names in prefixes(HISTORIES[history])]
    assert places == sorted(places)


@pytest.mark.parametrize("history", HISTORIES)
def test_a_saga_is_turned_back_from_the_first_event_of_its_way_back(history: str) -> None:
    for names in prefixes(HISTORIES[history]):
        facts = merge({}, STORY.events(*names))
        assert turned_back(facts) == any(backward(name) for name in names)


@pytest.mark.parametrize("history", HISTORIES)
def test_a_deadline_concerns_a_saga_that_goes_forward_before_its_pivot_and_was_not_cancelled(history: str) -> None:
    for names in prefixes(HISTORIES[history]):
        passed = "inventory.committed" in names or "late" in names or any(backward(name) for name in names)
        assert may_be_late(CHECKOUT, merge({}, STORY.events(*names))) == (not passed)


def test_no_deadline_is_missed_of_a_saga_that_nothing_was_heard_of() -> None:
    assert may_be_late(CHECKOUT, {})


def test_the_first_reason_is_the_sagas_error() -> None:
    declined = STORY.events(*HISTORIES["declined"])
    cancel = Story(STORY.saga_id, reason="changed my mind").events(*["checkout.cancel.requested"] * 9)[-1:]
    assert error_of(CHECKOUT, merge({}, [*declined, *cancel])) == "process_payment: no"


def test_an_operators_request_is_shown_though_a_deadline_cancelled_before() -> None:
    late, cancel = (STORY.payload(name) for name in ("late", "checkout.cancel.requested"))
    facts = merge({}, [*STORY.events(*COMPLETED), Event(late), Event(cancel)])
    assert status_of(facts) == "compensating"


def test_a_steps_times_are_from_the_fact_that_requested_it_to_its_outcome() -> None:
    story = STORY.events(*COMPLETED)
    paid = step("process_payment", *COMPLETED)
    assert (paid.started_at, paid.finished_at) == (story[2].time, story[4].time)
    running = step("process_payment", *RESERVED)
    assert (running.started_at, running.finished_at, running.attempts) == (story[2].time, None, 1)
    skipped = step("create_order", *HISTORIES["declined"])
    assert (skipped.started_at, skipped.finished_at, skipped.attempts) == (None, None, 0)


def test_a_refused_step_says_why() -> None:
    declined = step("process_payment", *HISTORIES["declined"])
    assert (declined.error, declined.compensation_attempts) == ("no", 0)
    assert step("reserve_inventory", *HISTORIES["declined"]).compensation_attempts == 1


def test_every_event_type_is_in_some_history() -> None:
    told = {name for names in HISTORIES.values() for name in names}
    assert told - {"late"} == {name for name, entry in CONTRACT.items() if entry.is_fact}

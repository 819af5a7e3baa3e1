"""When a batch of events is recorded, and which events tell the end of a step."""

import pytest

from saga_choreography.choreography import CHECKOUT
from saga_choreography.recording import OUTCOMES, ends_a_saga
from shared.event_bus import CONTRACT, event_type_of
from shared.messaging.delivery import Delivery


def delivered(name: str) -> Delivery:
    return Delivery(1, {}, "application/json", b"", name)


@pytest.mark.parametrize("name", CONTRACT)
def test_only_the_end_of_a_saga_is_worth_a_transaction_of_its_own(name: str) -> None:
    some = [delivered("inventory.reserved"), delivered(name)]
    assert ends_a_saga(some) == (name in {"checkout.completed", "checkout.failed"})


@pytest.mark.parametrize("step", CHECKOUT.steps, ids=lambda step: step.name)
def test_a_steps_events_count_as_its_outcomes_at_the_service_that_publishes_them(step: object) -> None:
    told = {name: getattr(step, name) for name in ("ends", "fails", "undone")}
    found = {name: OUTCOMES[event_type_of(fact).name] for name, fact in told.items()}
    assert {at.step for at, _ in found.values()} == {getattr(step, "name")}  # noqa: B009
    assert {at.service for at, _ in found.values()} == {event_type_of(told["ends"]).publisher}
    assert (found["ends"][0].direction, found["ends"][1]) == ("action", "succeeded")
    assert (found["fails"][0].direction, found["fails"][1]) == ("action", "refused")


def test_a_sale_that_is_undone_is_a_refusal_since_its_event_is_the_same() -> None:
    undone = {step.name: OUTCOMES[event_type_of(step.undone).name][0].direction for step in CHECKOUT.steps}
    assert [name for name, direction in undone.items() if direction == "action"] == ["commit_inventory"]

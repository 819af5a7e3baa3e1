"""Which events tell the end of a step."""

import pytest

from saga_choreography.choreography import CHECKOUT
from saga_choreography.measures import OUTCOMES
from shared.event_bus import event_type_of


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

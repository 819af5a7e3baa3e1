"""A saga that could not keep its promises cannot be declared."""

import pytest

from saga_orchestrator.definition import InvalidSaga, Saga, Step
from saga_orchestrator.orchestrator import CHECKOUT


def ask(_: object) -> None:
    """A request that nobody sends."""


CLOSING = Step("close", ask)
PIVOT = Step("pivot", ask)


def declare(*steps: Step, pivot: Step | None = PIVOT, retryable: tuple[Step, ...] = ()) -> Saga:
    return Saga("test", steps, pivot, retryable, CLOSING)


def test_a_step_before_the_pivot_needs_a_compensation() -> None:
    with pytest.raises(InvalidSaga, match="charge comes before the pivot and has no compensation"):
        declare(Step("charge", ask))


def test_retryable_work_needs_a_pivot_before_it() -> None:
    with pytest.raises(InvalidSaga, match="there is none"):
        declare(Step("charge", ask, ask), pivot=None, retryable=(Step("confirm", ask),))


def test_two_steps_cannot_have_one_name() -> None:
    with pytest.raises(InvalidSaga, match="two steps are called charge"):
        declare(Step("charge", ask, ask), Step("charge", ask, ask))


def test_the_closing_step_has_no_compensation() -> None:
    with pytest.raises(InvalidSaga, match="never compensated"):
        Saga("test", (), PIVOT, (), Step("close", ask, ask))


def test_the_checkout_has_the_four_steps_in_their_order() -> None:
    assert [step.name for step in CHECKOUT.steps] == [
        "reserve_inventory",
        "process_payment",
        "create_order",
        "commit_inventory",
    ]
    assert CHECKOUT.pivot is CHECKOUT["commit_inventory"]

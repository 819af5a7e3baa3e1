"""A definition that breaks a rule of sagas is refused when it is built."""

from dataclasses import dataclass

import pytest

from saga_orchestrator.orchestrator import CHECKOUT
from saga_orchestrator.runtime.definition import InvalidSaga, SagaDefinition, SagaInstance, Service, Step, post
from shared.ids import new_id


@dataclass(frozen=True)
class Data:
    """What the saga is about."""

    account: str


def only_saga(saga: SagaInstance[Data]) -> dict[str, object]:
    return {"saga_id": saga.saga_id}


BANK, SHOP = Service("bank", "http://127.0.0.1:1"), Service("shop", "http://127.0.0.1:2")
DO = post(BANK, "/done", only_saga)
CLOSING = Step("close", DO)
PIVOT = Step("pivot", DO)


def define(
    *steps: Step[Data], pivot: Step[Data] | None = PIVOT, retryable: tuple[Step[Data], ...] = ()
) -> SagaDefinition[Data]:
    return SagaDefinition("test", Data, steps, pivot, retryable, CLOSING)


def test_a_step_before_the_pivot_needs_a_compensation() -> None:
    with pytest.raises(InvalidSaga, match="charge comes before the pivot and has no compensation"):
        define(Step("charge", DO))


def test_retryable_work_needs_a_pivot_before_it() -> None:
    with pytest.raises(InvalidSaga, match="there is none"):
        define(Step("charge", DO, DO), pivot=None, retryable=(Step("confirm", DO),))


def test_two_steps_cannot_have_one_name() -> None:
    with pytest.raises(InvalidSaga, match="two steps are called charge"):
        define(Step("charge", DO, DO), Step("charge", DO, DO))


def test_the_closing_step_has_no_compensation() -> None:
    with pytest.raises(InvalidSaga, match="never compensated"):
        SagaDefinition("test", Data, (), PIVOT, (), Step("close", DO, DO))


def test_a_path_names_ids_of_steps_and_fields_of_the_data() -> None:
    charge = Step("charge", DO, post(BANK, "/{account}/charges/{charge_id}/refund", only_saga), id="charge_id")
    ids = {"charge_id": new_id()}
    refund = charge.compensation
    assert refund is not None
    request = refund.request(SagaInstance(new_id(), Data("ana"), ids))
    assert request.path == f"/ana/charges/{ids['charge_id']}/refund"
    assert define(charge).ids == ("charge_id",)


def test_a_path_that_names_anything_else_is_a_mistake() -> None:
    with pytest.raises(InvalidSaga, match="names charge_id"):
        define(Step("charge", DO, post(BANK, "/charges/{charge_id}/refund", only_saga)))


def test_the_services_are_those_of_the_steps() -> None:
    assert define(Step("order", post(SHOP, "/orders", only_saga), DO)).services == (SHOP, BANK)


def test_the_checkout_has_the_four_steps_in_their_order() -> None:
    assert [step.name for step in CHECKOUT.shown_steps] == [
        "reserve_inventory",
        "process_payment",
        "create_order",
        "commit_inventory",
    ]
    assert CHECKOUT.pivot is CHECKOUT["commit_inventory"]

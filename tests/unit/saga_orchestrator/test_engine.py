"""The next command for a state and an outcome."""

import pytest

from saga_orchestrator.orchestrator import CHECKOUT
from saga_orchestrator.runtime.engine import (
    apply,
    begin,
    crosses_pivot,
    next_command,
    reset_retries,
    started,
    turn_back,
)
from saga_orchestrator.runtime.state import Command, Outcome, Refused, SagaState, Succeeded, Unknown
from shared.saga.states import Direction, SagaStatus, StepStatus

OK, NO, LOST, LATE = Succeeded(), Refused("no"), Unknown("lost"), Unknown("lost", deadline_passed=True)
ANOTHERS = Refused("no", contradicts=True)
BACK = ["-create_order", "-process_payment", "-reserve_inventory", "release_cart"]
FORWARD = ["reserve_inventory", "process_payment", "create_order", "commit_inventory", "confirm_order"]


def after(*outcomes: Outcome, state: SagaState | None = None) -> SagaState:
    state = begin(CHECKOUT) if state is None else state
    for outcome in outcomes:
        command = next_command(CHECKOUT, state)
        assert command is not None
        state = apply(CHECKOUT, started(state, command), command, outcome, stuck_after=3)
    return state


def rest(state: SagaState) -> list[str]:
    """Return the commands to the end if all succeed; compensations have a minus sign."""
    commands = []
    while (command := next_command(CHECKOUT, state)) is not None:
        commands.append(f"{'-' * (command.direction is Direction.COMPENSATION)}{command.step}")
        state = after(OK, state=state)
    return commands


def statuses(state: SagaState) -> list[str]:
    return [state.step(step.name).status for step in CHECKOUT.shown_steps]


def test_a_success_goes_through_all_steps_in_order() -> None:
    assert rest(begin(CHECKOUT)) == FORWARD
    assert after(*[OK] * 5).status is SagaStatus.COMPLETED


def test_the_status_tells_pending_running_and_completed_apart() -> None:
    assert [after(*[OK] * done).status for done in (0, 1, 4, 5)] == ["pending", "running", "running", "completed"]


def test_a_refused_reservation_is_made_sure_of_and_the_cart_released() -> None:
    assert rest(after(NO)) == BACK


def test_a_declined_payment_undoes_the_reservation_in_reverse() -> None:
    state = after(OK, NO)
    assert state.status is SagaStatus.COMPENSATING
    assert rest(state) == BACK


def test_a_refused_order_refunds_the_payment_first() -> None:
    assert rest(after(OK, OK, NO)) == BACK


def test_a_refused_pivot_undoes_everything() -> None:
    assert rest(after(OK, OK, OK, NO)) == ["-commit_inventory", *BACK]


def test_the_step_that_failed_stays_failed_and_those_never_requested_are_skipped() -> None:
    state = after(OK, NO, OK, OK, OK, OK)
    assert state.status is SagaStatus.COMPENSATED
    assert statuses(state) == ["compensated", "failed", "skipped", "skipped"]
    assert state.error == "process_payment: no"


@pytest.mark.parametrize("payment", [[NO], [LOST, NO], [LATE]])
def test_a_step_that_is_another_requests_left_nothing_to_undo(payment: list[Outcome]) -> None:
    """Another request did the step first, under the saga's id; it does not matter which answers this saga got."""
    state = after(OK, *payment, OK, ANOTHERS)
    assert next_command(CHECKOUT, state) == Command("reserve_inventory", Direction.COMPENSATION)
    assert state.step("process_payment").status is StepStatus.FAILED


def test_any_other_no_to_a_compensation_is_never_taken_for_done() -> None:
    """It may come from any server at that address, and this saga's step stays done."""
    for late in (after(OK, LATE, OK), after(OK, OK, NO, OK), after(OK, NO, OK), after(OK, LOST, NO, OK)):
        command = next_command(CHECKOUT, late)
        assert command == Command("process_payment", Direction.COMPENSATION)
        assert next_command(CHECKOUT, after(NO, NO, state=late)) == command


def test_an_unknown_outcome_is_requested_again() -> None:
    state = after(LOST)
    assert next_command(CHECKOUT, state) == Command("reserve_inventory", Direction.ACTION)
    assert rest(state) == FORWARD


def test_an_unknown_outcome_past_the_deadline_compensates_the_step_in_doubt_too() -> None:
    assert rest(after(OK, LATE)) == BACK


def test_the_pivot_in_doubt_knows_no_deadline() -> None:
    state = after(OK, OK, OK, LATE)
    assert rest(state) == ["commit_inventory", "confirm_order"]


def test_after_the_pivot_even_a_no_is_tried_again() -> None:
    state = after(OK, OK, OK, OK, NO, LATE)
    assert rest(state) == ["confirm_order"]


def test_what_waits_for_ever_gets_stuck_and_goes_on() -> None:
    state = after(OK, NO, LOST, NO, LOST)
    assert state.status is SagaStatus.STUCK
    assert state.step("create_order").error == "lost"
    assert after(OK, state=state).status is SagaStatus.COMPENSATING
    assert rest(state) == BACK


def test_a_saga_within_its_deadline_is_not_stuck() -> None:
    assert after(*[LOST] * 50).status is SagaStatus.RUNNING


def test_a_person_who_hurries_a_stuck_saga_sees_it_compensating_again() -> None:
    assert reset_retries(after(OK, NO, LOST, LOST, LOST)).status is SagaStatus.COMPENSATING


def test_only_the_first_pivot_command_crosses_the_pivot() -> None:
    before = after(OK, OK, OK)
    pivot = Command("commit_inventory", Direction.ACTION)
    assert crosses_pivot(CHECKOUT, before, pivot)
    assert not crosses_pivot(CHECKOUT, after(LOST, state=before), pivot)
    assert not crosses_pivot(CHECKOUT, before, Command("commit_inventory", Direction.COMPENSATION))


def test_a_completed_saga_is_undone_in_full() -> None:
    state = turn_back(CHECKOUT, after(*[OK] * 5), "changed my mind")
    assert state.status is SagaStatus.COMPENSATING
    assert rest(state) == ["-commit_inventory", *BACK]
    assert state.was_completed
    assert not turn_back(CHECKOUT, after(*[OK] * 4), "changed my mind").was_completed


def test_a_saga_that_is_turned_back_undoes_every_step_before_the_pivot_since_any_may_have_run() -> None:
    assert rest(turn_back(CHECKOUT, begin(CHECKOUT), "stop")) == BACK
    assert rest(turn_back(CHECKOUT, after(OK), "stop")) == BACK


def test_a_pivot_that_may_be_on_its_way_is_undone_too() -> None:
    pivot = Command("commit_inventory", Direction.ACTION)
    on_its_way = started(after(OK, OK, OK), pivot)
    assert rest(turn_back(CHECKOUT, on_its_way, "stop")) == ["-commit_inventory", *BACK]


def test_turning_back_twice_changes_nothing() -> None:
    once = turn_back(CHECKOUT, after(OK), "stop")
    assert turn_back(CHECKOUT, once, "stop again") == once


def test_attempts_are_counted_in_both_directions() -> None:
    state = after(LOST, LOST, OK, NO, OK, OK, LOST, OK)
    reserve, pay = state.step("reserve_inventory"), state.step("process_payment")
    assert (reserve.attempts, reserve.compensation_attempts) == (3, 2)
    assert (pay.attempts, pay.compensation_attempts) == (1, 1)


def test_statuses_are_never_left_running_at_an_end() -> None:
    final = {StepStatus.SUCCEEDED, StepStatus.FAILED, StepStatus.COMPENSATED, StepStatus.SKIPPED}
    assert set(statuses(after(OK, LATE, OK, OK, OK, OK))) <= final

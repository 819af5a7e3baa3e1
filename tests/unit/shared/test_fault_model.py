"""The names of faults, their valid combinations, and their notation in a header."""

import pytest

from saga_orchestrator.orchestrator import CHECKOUT
from shared.event_bus import CONTRACT
from shared.fault_switches.model import STEPS, UNDOABLE, Fault, FaultName, InvalidFault, KillPoint, parse
from shared.fault_switches.steps import ENDPOINTS, EVENTS, Half, step_request
from shared.ids import new_id
from shared.saga.states import Direction


def test_a_header_names_step_fault_argument_and_times() -> None:
    assert parse("process_payment=lose_answer*2") == (Fault("process_payment", FaultName.LOSE_ANSWER, 2),)
    assert parse("create_order=slow:500, process_payment=kill:before*3") == (
        Fault("create_order", FaultName.SLOW, 1, milliseconds=500),
        Fault("process_payment", FaultName.KILL, 3, point=KillPoint.BEFORE),
    )


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("", "X-Fault"),
        ("process_payment", "X-Fault"),
        ("process_payment=refuse*", "X-Fault"),
        ("process_payment=refuse,", "X-Fault"),
        ("process_payment=unavailable" + "," * 200, "X-Fault"),
        ("pay=refuse", "step"),
        ("confirm_order=refuse", "step"),
        ("commit_inventory=refuse", "step"),
        ("confirm_order=fail_undo", "step"),
        ("process_payment=explode", "name"),
        ("process_payment=kill:soon", "point"),
        ("process_payment=slow:after", "point"),
        ("process_payment=unavailable:5", "milliseconds"),
        ("process_payment=slow:99999", "milliseconds"),
        ("process_payment=slow:0", "milliseconds"),
        ("process_payment=slow*0", "times"),
        ("process_payment=slow*1001", "times"),
        ("process_payment=slow*100000", "times"),
        ("process_payment=slow:1000000", "milliseconds"),
        ("process_payment=slow*２", "X-Fault"),  # noqa: RUF001  (a digit of another script is meant)
        ("process_payment=refuse*2", "times"),
        ("process_payment=pause_consumer", "step"),
    ],
)
def test_what_makes_no_sense_is_refused_and_the_field_named(text: str, field: str) -> None:
    with pytest.raises(InvalidFault) as raised:
        parse(text)
    assert raised.value.fields["field"] == field


def test_a_fault_is_for_the_half_of_the_step_that_it_names_and_for_what_it_matches() -> None:
    pay, refund = Half(("process_payment",), Direction.ACTION), Half(("process_payment",), Direction.COMPENSATION)
    body = {"saga_id": str(new_id()), "user_id": "ana", "amount": 5}
    action, compensation = step_request(pay, body), step_request(refund, body)
    assert action is not None
    assert compensation is not None
    for fault, hit, missed in (
        (Fault("process_payment", FaultName.UNAVAILABLE), action, compensation),
        (Fault("process_payment", FaultName.FAIL_UNDO), compensation, action),
    ):
        assert hit.suffers(fault)
        assert not missed.suffers(fault)
    assert action.suffers(Fault("process_payment", FaultName.SLOW, match={"user_id": "ana"}))
    assert not action.suffers(Fault("process_payment", FaultName.SLOW, match={"user_id": "eva"}))
    assert not action.suffers(Fault("process_payment", FaultName.SLOW, match={"payment_method": "paypal"}))
    assert not action.suffers(Fault("create_order", FaultName.SLOW))


def test_a_request_without_a_saga_is_left_alone_and_a_cart_may_stand_for_it() -> None:
    half, cart_id = Half(("create_order",), Direction.ACTION), new_id()
    assert step_request(half, {"reason": "none"}) is None
    assert step_request(half, {"saga_id": 7}) is None
    found = step_request(half, {"cart_id": str(cart_id)})
    assert found is not None
    assert found.saga_id == cart_id


def test_the_steps_are_those_of_the_definition() -> None:
    assert tuple(step.name for step in CHECKOUT.all_steps) == STEPS
    assert tuple(step.name for step in CHECKOUT.shown_steps) == UNDOABLE


def test_the_events_are_those_that_somebody_reacts_to() -> None:
    """Except for events that request a decision, or earlier events."""
    reacted_to = {name for name, entry in CONTRACT.items() if entry.handled_by}
    assert reacted_to - {"checkout.cancel.requested", "saga.resend.requested"} == EVENTS.keys()
    for name, half in EVENTS.items():
        for step in half.steps:
            told = ENDPOINTS[CONTRACT[name].handled_by[0]].values()
            assert any(step in each.steps and each.direction is half.direction for each in told), name


def test_the_endpoints_are_those_that_the_definition_names() -> None:
    told = {
        (name, service, path)
        for service, halves in ENDPOINTS.items()
        for path, half in halves.items()
        for name in [(step, half.direction) for step in half.steps]
    }
    assert told == set(_requests())


def _requests() -> list[tuple[tuple[str, Direction], str, str]]:
    """Return each step's action and compensation, with service and path."""
    found = []
    for step in CHECKOUT.all_steps:
        for endpoint, direction in ((step.action, Direction.ACTION), (step.compensation, Direction.COMPENSATION)):
            if endpoint is not None:
                found.append(((step.name, direction), endpoint.service.name, endpoint.path))
    return found

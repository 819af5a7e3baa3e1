"""The definition of the choreography, the event contract and the services' handlers agree."""

from dataclasses import replace
from importlib import import_module

import pytest

from saga_choreography.choreography import CHECKOUT
from saga_choreography.definition import InvalidChoreography, Reaction
from saga_orchestrator.orchestrator import CHECKOUT as ORCHESTRATED
from shared.event_bus import (
    CARRITO,
    CHOREOGRAPHY,
    CONTRACT,
    INVENTARIO,
    PAGOS,
    InventoryReleased,
    OrderCancelled,
    OrderCreated,
    PaymentProcessed,
    SagaResendRequested,
    bindings,
)

REACTING = (CARRITO, INVENTARIO, PAGOS)


def test_the_services_react_to_what_the_definition_says_and_to_nothing_else() -> None:
    reactions = {
        (fact, service) for service in REACTING for fact in import_module(f"{service}.event_handlers").EVENT_HANDLERS
    }
    assert reactions == {(each.fact, each.by) for each in CHECKOUT.reactions}


def test_every_queue_is_bound_to_what_its_service_reacts_to_and_the_windows_to_all_that_tells_of_a_checkout() -> None:
    bound = dict(bindings())
    assert set(bound.pop(CHOREOGRAPHY)) == {name for name, entry in CONTRACT.items() if entry.is_fact}
    for service, names in bound.items():
        assert {CONTRACT[name].payload for name in names} == import_module(
            f"{service}.event_handlers"
        ).EVENT_HANDLERS.keys()


def test_every_event_follows_from_another_or_begins_something_and_leads_to_an_end_or_marks_a_step() -> None:
    following = {fact for each in CHECKOUT.reactions for outcome in each.outcomes for fact in outcome}
    marks = {step.begins for step in CHECKOUT.steps}
    for entry in CONTRACT.values():
        assert entry.payload in {*following, *CHECKOUT.beginnings}, f"nobody publishes {entry.name}"
        assert entry.handled_by or entry.ends or entry.payload in marks, f"nobody reacts to {entry.name}"


def test_only_a_request_to_send_events_again_tells_of_no_checkout_and_leads_to_no_event_of_its_own() -> None:
    assert [name for name, entry in CONTRACT.items() if not entry.is_fact] == ["saga.resend.requested"]
    assert {each.fact for each in CHECKOUT.reactions if not each.then} == {SagaResendRequested}


def test_both_styles_have_the_same_steps_in_the_same_order() -> None:
    assert [step.name for step in CHECKOUT.steps] == [step.name for step in ORCHESTRATED.shown_steps]


def test_a_definition_without_a_reaction_that_the_contract_has_is_refused() -> None:
    with pytest.raises(InvalidChoreography, match=r"who reacts"):
        replace(CHECKOUT, reactions=CHECKOUT.reactions[1:])


def test_a_definition_in_which_another_service_publishes_is_refused() -> None:
    wrong = [
        replace(each, then=(PaymentProcessed,)) if each.fact is PaymentProcessed else each
        for each in CHECKOUT.reactions
    ]
    with pytest.raises(
        InvalidChoreography, match=r"who publishes is not as in the contract: .*payment.processed by carrito"
    ):
        replace(CHECKOUT, reactions=tuple(wrong))


def test_a_definition_in_which_a_saga_could_go_round_for_ever_is_refused() -> None:
    """As if a release could cancel the order again, which leads to a refund and another release."""
    wrong = [
        replace(each, otherwise=(OrderCancelled,)) if each.fact is InventoryReleased else each
        for each in CHECKOUT.reactions
    ]
    with pytest.raises(InvalidChoreography, match=r"lead to no end: .*inventory.released"):
        replace(CHECKOUT, reactions=tuple(wrong))


def test_a_service_that_reacts_twice_to_one_fact_is_refused() -> None:
    again = Reaction(OrderCreated, INVENTARIO, then=CHECKOUT.reactions[3].then)
    with pytest.raises(InvalidChoreography, match=r"two ways"):
        replace(CHECKOUT, reactions=(*CHECKOUT.reactions, again))

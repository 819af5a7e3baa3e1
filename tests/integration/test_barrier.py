"""The barrier on a real PostgreSQL: many sagas at once, each with the outcome that it would have alone."""

import threading
from collections.abc import Callable
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from inventario.models import barrier
from shared.errors import Conflict, DomainError, NotFound, RepeatedRefusal
from shared.http.answers import problem_of
from shared.ids import new_id
from shared.saga.barrier_entries import ActionEntry, CompensationEntry, Suspended
from shared.testing import concurrently
from tests.integration.api_client import ApiClient, wait_for_blocked

STEP = "reserve_inventory"


class Full(Conflict):
    """A refusal: there is no space."""


@pytest.fixture
def service(service_client: Callable[..., FlaskClient]) -> ApiClient:
    """A service that has a barrier."""
    return ApiClient(service_client("inventario"))


def enter(service: ApiClient, *saga_ids: UUID) -> list[ActionEntry | DomainError]:
    with service.transaction() as connection:
        entries = barrier.enter_action(connection, STEP, {each: {} for each in saga_ids})
    return [entries[saga_id] for saga_id in saga_ids]


def enter_compensation(service: ApiClient, *saga_ids: UUID) -> list[CompensationEntry | DomainError]:
    with service.transaction() as connection:
        undo = barrier.enter_compensation(connection, STEP, {each: {} for each in saga_ids})
    return [undo[saga_id] for saga_id in saga_ids]


def test_each_saga_of_many_is_told_what_it_finds(service: ApiClient) -> None:
    done, refused, undone, new = (new_id() for _ in range(4))
    assert enter(service, done, refused, undone) == [ActionEntry.FIRST] * 3
    with service.transaction() as connection:
        barrier.refuse(connection, STEP, {refused: Full("no room", saga_id=refused)})
    assert enter_compensation(service, undone) == [CompensationEntry.FIRST]
    entries = enter(service, undone, new, refused, done)
    assert (entries[1], entries[3]) == (ActionEntry.FIRST, ActionEntry.REPEATED)
    assert [type(entry) for entry in (entries[0], entries[2])] == [Suspended, RepeatedRefusal]


def test_each_compensation_of_many_is_told_what_it_finds(service: ApiClient) -> None:
    done, never, undone = (new_id() for _ in range(3))
    enter(service, done, undone)
    enter_compensation(service, undone)
    assert enter_compensation(service, never, undone, done) == [
        CompensationEntry.NULL,
        CompensationEntry.REPEATED,
        CompensationEntry.FIRST,
    ]
    assert enter_compensation(service, never, undone, done) == [CompensationEntry.REPEATED] * 3
    assert [type(entry) for entry in enter(service, never, done)] == [Suspended] * 2


def test_refusals_are_given_again_word_for_word_each_to_its_saga(service: ApiClient) -> None:
    refusals = {new_id(): NotFound("nothing like it", product_id=7), new_id(): Full("no room", saga_id=new_id())}
    with service.transaction() as connection:
        barrier.enter_action(connection, STEP, {each: {} for each in refusals})
        barrier.refuse(connection, STEP, refusals)
    for (saga_id, first), again in zip(refusals.items(), enter(service, *refusals), strict=True):
        assert isinstance(again, RepeatedRefusal), saga_id
        expected = {name: str(value) if isinstance(value, UUID) else value for name, value in problem_of(first).items()}
        assert problem_of(again) == expected


def test_a_refused_step_that_is_compensated_is_suspended(service: ApiClient) -> None:
    saga_id = new_id()
    with service.transaction() as connection:
        barrier.enter_action(connection, STEP, {saga_id: {}})
        barrier.refuse(connection, STEP, {saga_id: Full("no room")})
    assert enter_compensation(service, saga_id) == [CompensationEntry.FIRST]
    assert isinstance(enter(service, saga_id)[0], Suspended)


def test_steps_know_nothing_of_each_other(service: ApiClient) -> None:
    saga_id = new_id()
    with service.transaction() as connection:
        barrier.enter_compensation(connection, "another", {saga_id: {}})
        assert barrier.enter_action(connection, STEP, {saga_id: {}}) == {saga_id: ActionEntry.FIRST}


def test_a_step_is_told_what_became_of_itself_and_of_no_other(service: ApiClient) -> None:
    saga_id = new_id()
    with service.transaction() as connection:
        barrier.enter_action(connection, "another", {saga_id: {}})
        barrier.enter_action(connection, STEP, {saga_id: {}})
        barrier.refuse(connection, "another", {saga_id: Full("no room")})
    assert enter(service, saga_id) == [ActionEntry.REPEATED]
    with service.transaction() as connection:
        barrier.enter_compensation(connection, "another", {saga_id: {}})
    assert enter(service, saga_id) == [ActionEntry.REPEATED]


@pytest.mark.parametrize("enter_all", [barrier.enter_action, barrier.enter_compensation])
def test_sagas_are_entered_in_one_order_so_that_no_two_batches_wait_for_each_other(
    service: ApiClient, enter_all: Callable[..., object]
) -> None:
    """The batch waits for the second of its three sagas; until then, the third must not be locked."""
    first, second, third = sorted(new_id() for _ in range(3))
    under_way = threading.Event()

    def other() -> object:
        with service.transaction() as connection:
            barrier.enter_action(connection, STEP, {second: {}})
            under_way.set()
            wait_for_blocked(connection)
            return barrier.enter_action(connection, STEP, {third: {}})[third]

    def batch() -> object:
        under_way.wait()
        with service.transaction() as connection:
            return enter_all(connection, STEP, {each: {} for each in (third, second, first)}) and None

    assert concurrently(other, batch) == [ActionEntry.FIRST, None]

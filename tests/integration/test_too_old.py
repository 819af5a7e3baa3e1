"""A late request for purged data never counts as new, on a real PostgreSQL."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from inventario.models import barrier, inbox
from saga_choreography import service as choreography
from saga_choreography.domain import Checkout
from saga_orchestrator import service as orchestrator
from shared.config import ServiceSettings
from shared.event_bus import CheckoutInitiated, Event
from shared.ids import new_id
from shared.purging.retention import OVERLAP_SECONDS, TooOld
from shared.saga.barrier_entries import ActionEntry, CompensationEntry
from tests.integration.aging import DAY, SAGA_DAYS, STEP_DAYS, UNDOABLE_DAYS, id_of_age, purges
from tests.integration.api_client import ApiClient, problem_of
from tests.integration.choreography_client import LONG, Window
from tests.integration.inventario_client import RESERVE, UNRESERVE, Inventario, Saga
from tests.integration.orchestrated import new_checkout
from tests.integration.reacting import Checkout as Story
from tests.integration.reacting import Reacting
from tests.unit.saga_choreography.histories import COMPLETED
from tests.unit.saga_choreography.histories import Story as History

STEP = "reserve_inventory"
A_MOMENT = 60 / DAY  # in days; longer than a test
ServiceClient = Callable[..., FlaskClient]


@pytest.fixture
def inventario(service_client: ServiceClient, fresh_database_url: str) -> Inventario:
    return Inventario(service_client("inventario", database_url=fresh_database_url))


@pytest.fixture
def window(service_client: ServiceClient, fresh_database_url: str) -> Window:
    return Window(service_client("saga_choreography", database_url=fresh_database_url))


@pytest.fixture
def sagas(service_client: ServiceClient, fresh_database_url: str) -> ApiClient:
    return ApiClient(service_client("saga_orchestrator", database_url=fresh_database_url))


def purge_all(client: ApiClient, service: str, days: float) -> None:
    """Purge as the worker does when rows are so old."""
    with client.transaction() as connection:
        for purge in purges(service):
            purge.delete(connection, days * DAY + OVERLAP_SECONDS, 1000)


# Steps.


def test_a_step_is_first_until_its_saga_is_too_old(inventario: Inventario) -> None:
    young, old = id_of_age(STEP_DAYS - A_MOMENT), id_of_age(STEP_DAYS + A_MOMENT)
    with inventario.transaction() as connection:
        assert barrier.enter_action(connection, STEP, {young: {}}) == {young: ActionEntry.FIRST}
    for enter in (barrier.enter_action, barrier.enter_compensation):
        with pytest.raises(TooOld, match=str(old)), inventario.transaction() as connection:
            enter(connection, STEP, {young: {}, old: {}})
        with inventario.transaction() as connection:
            assert connection.scalar(text("SELECT count(*) FROM barrier")) == 1


def test_what_is_known_of_an_old_saga_is_answered_as_before(inventario: Inventario) -> None:
    """A stored step is known as long as its row exists; no row is added."""
    done, undone = id_of_age(STEP_DAYS + A_MOMENT), id_of_age(STEP_DAYS + A_MOMENT)
    rows = [(done, "action"), (undone, "action"), (undone, "compensation")]
    with inventario.transaction() as connection:
        for saga_id, direction in rows:
            row = {"saga_id": saga_id, "step": STEP, "direction": direction}
            connection.execute(barrier.table.insert().values(row))
    with inventario.transaction() as connection:
        assert barrier.enter_action(connection, STEP, {done: {}}) == {done: ActionEntry.REPEATED}
        assert barrier.enter_compensation(connection, STEP, {undone: {}}) == {undone: CompensationEntry.REPEATED}
    with pytest.raises(TooOld), inventario.transaction() as connection:
        barrier.enter_compensation(connection, STEP, {done: {}})


def test_a_late_duplicate_of_a_step_is_refused_after_the_purge(inventario: Inventario) -> None:
    product, saga = inventario.add(10), Saga()
    inventario.reserve(saga, {product: 2})
    inventario.unreserve(saga)
    old = Saga(id_of_age(STEP_DAYS + 1), saga.cart_id)
    with inventario.transaction() as connection:  # as if it were so long ago
        connection.execute(text("UPDATE barrier SET saga_id = :old"), {"old": old.saga_id})
    body = {**old.body, "items": [{"product_id": product, "quantity": 2}]}
    assert problem_of(inventario.post(RESERVE, body))["type"] == "/problems/suspended"
    purge_all(inventario, "inventario", STEP_DAYS)
    for path, late in ((RESERVE, body), (UNRESERVE, old.body)):
        problem = problem_of(inventario.post(path, late))
        assert (problem["status"], problem["type"]) == (409, "/problems/too-old")
    assert inventario.stock(product) == (10, 0, 0)


def test_a_command_that_is_too_old_touches_no_other(inventario: Inventario) -> None:
    product, saga, old = inventario.add(10), Saga(), Saga(saga_id=id_of_age(STEP_DAYS + 1))
    items = [{"product_id": product, "quantity": 1}]
    outcomes = inventario.many(*[(RESERVE, {**each.body, "items": items}) for each in (saga, old, Saga())])
    assert [each["status"] for each in outcomes] == [201, 409, 201]


def test_ids_that_tell_no_time_are_taken_at_any_time(inventario: Inventario) -> None:
    by_hand = UUID("00000000-0000-4000-8000-000000000001")
    with inventario.transaction() as connection:
        assert barrier.enter_action(connection, STEP, {by_hand: {}}) == {by_hand: ActionEntry.FIRST}
    purge_all(inventario, "inventario", STEP_DAYS)
    with inventario.transaction() as connection:
        assert barrier.enter_action(connection, STEP, {by_hand: {}}) == {by_hand: ActionEntry.REPEATED}


# Events.


def test_an_event_is_new_until_it_is_too_old(inventario: Inventario) -> None:
    young, old = id_of_age(STEP_DAYS - A_MOMENT), id_of_age(STEP_DAYS + A_MOMENT)
    with inventario.transaction() as connection:
        assert inbox.enter(connection, [young]) == {young}
        assert inbox.enter(connection, [young]) == set()
    with pytest.raises(TooOld, match=str(old)), inventario.transaction() as connection:
        inbox.enter(connection, [new_id(), old])
    with inventario.transaction() as connection:
        connection.execute(inbox.table.insert().values(event_id=old))
        assert inbox.enter(connection, [old]) == set()


def test_an_event_that_comes_after_its_row_was_purged_is_not_reacted_to(inventario: Inventario) -> None:
    """Its consumer parks it with the reason, so people find it."""
    product, participant = inventario.add(10), Reacting(inventario.client)
    checkout = Event(Story(product_id=product).says(CheckoutInitiated), id=id_of_age(STEP_DAYS + A_MOMENT))
    with inventario.transaction() as connection:
        connection.execute(inbox.table.insert().values(event_id=checkout.id))
    assert participant.take([checkout]) == []
    older = Event(checkout.payload, id=id_of_age(STEP_DAYS + 1))
    purge_all(inventario, "inventario", STEP_DAYS)
    with pytest.raises(TooOld, match=str(older.id)):
        participant.take([older])
    assert inventario.stock(product) == (10, 0, 0)


# Sagas.


def test_a_saga_that_may_have_been_forgotten_is_not_run_again(sagas: ApiClient) -> None:
    old = new_checkout(id_of_age(SAGA_DAYS + A_MOMENT))
    young = new_checkout(id_of_age(SAGA_DAYS - A_MOMENT))
    with sagas.transaction() as connection:
        accepted, refused = orchestrator.accept_sagas(connection, [young, old], 60)
        assert accepted is True
        assert isinstance(refused, TooOld)
    assert sagas.get(f"/saga/{old.saga_id}").status_code == 404


def test_a_saga_that_may_have_been_forgotten_is_not_shown_again(window: Window) -> None:
    old = Checkout(id_of_age(SAGA_DAYS + A_MOMENT), new_id(), "ana", "paypal")
    young = Checkout(id_of_age(SAGA_DAYS - A_MOMENT), new_id(), "ana", "paypal")
    with window.transaction() as connection:
        shown, refused = choreography.register(connection, [young, old], LONG)
        assert shown == "pending"
        assert isinstance(refused, TooOld)
    assert [str(row["saga_id"]) for row in window.rows("sagas")] == [str(young.saga_id)]


def test_a_late_event_of_a_forgotten_saga_leaves_no_trace(window: Window) -> None:
    story = History(saga_id=id_of_age(SAGA_DAYS - A_MOMENT))
    window.record(story.events(*COMPLETED))
    late = History(saga_id=id_of_age(SAGA_DAYS + A_MOMENT))
    for name in COMPLETED:
        with pytest.raises(TooOld, match=str(late.saga_id)):
            window.record(late.events(name))
    assert {str(row["saga_id"]) for row in window.rows("events")} == {str(story.saga_id)}
    assert len(window.rows("sagas")) == 1


def test_events_of_an_old_saga_that_is_still_known_are_shown(window: Window) -> None:
    story = History(saga_id=id_of_age(SAGA_DAYS + 1))
    at_first = {"saga_id": story.saga_id, "cart_id": story.cart_id}
    window.execute(
        "INSERT INTO saga_choreography.sagas (saga_id, cart_id, facts, deadline_at, due_at)"
        f" VALUES ('{at_first['saga_id']}', '{at_first['cart_id']}', '{{}}', now(), now())"
    )
    window.record(story.events(*COMPLETED))
    assert window.saga(story.saga_id)["status"] == "completed"


@pytest.mark.parametrize(("days", "status"), [(UNDOABLE_DAYS - A_MOMENT, 202), (UNDOABLE_DAYS + A_MOMENT, 409)])
def test_a_saga_is_undone_only_while_all_of_it_can_be(
    sagas: ApiClient, window: Window, days: float, status: int
) -> None:
    """Its participants refuse to compensate steps that are older than their retention."""
    saga_id, said = id_of_age(days), {"reason": "why", "by": "me"}
    checkout = new_checkout(id_of_age(0))
    with sagas.transaction() as connection:
        orchestrator.accept_sagas(connection, [checkout], 60)
        connection.execute(text("ALTER TABLE timeline DROP CONSTRAINT fk_timeline_saga_id"))
        connection.execute(text("UPDATE sagas SET saga_id = :id"), {"id": saga_id})
    assert sagas.post(f"/saga/{saga_id}/compensate", said).status_code == status
    window.execute(
        "INSERT INTO saga_choreography.sagas (saga_id, cart_id, facts, deadline_at, due_at)"
        f" VALUES ('{saga_id}', '{new_id()}', '{{}}', now(), now())"
    )
    assert window.post(f"/saga/choreography/{saga_id}/compensate", said).status_code == status


# Settings.


def settings(**days: Any) -> ServiceSettings:
    return ServiceSettings(_env_file=None, **days)


def test_what_participants_remember_must_outlast_what_can_be_requested_of_a_saga() -> None:
    assert settings().retention.undoable > settings().retention.sagas
    assert settings(saga_retention_days=1, step_retention_days=31).step_retention_days == 31
    with pytest.raises(ValueError, match="STEP_RETENTION_DAYS must be at least SAGA_RETENTION_DAYS"):
        settings(saga_retention_days=151)

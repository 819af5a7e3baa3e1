"""An accepted checkout is handed over to its saga's service: by its request, or else by carrito's worker."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Connection

from carrito.checkout_store import take_overdue
from carrito.domain import CheckoutHandover
from carrito.handover import MOST_SAGA_IDS
from carrito.worker import DELIVERED_TOGETHER, deliver_overdue, hand_over_unknown
from shared.http.client import Reply
from shared.testing import concurrently
from tests.integration.carrito_client import USER, Carrito, Saga

LATER = 600.0  # seconds; after the end of the test
ORCHESTRATED, CHOREOGRAPHED = "orchestrated", "choreographed"
BOTH = (ORCHESTRATED, CHOREOGRAPHED)
ONE, OTHER = UUID(int=1), UUID(int=2)
in_both_styles = pytest.mark.parametrize("style", BOTH)


class Sagas:
    """Stands for the service that runs sagas; records the sagas handed over while it is not `away`."""

    def __init__(self, *, place: bool = False, away: bool = False) -> None:
        """`place`: whether the request that begins a checkout may hand it over itself."""
        self.told: list[str] = []
        self.has: set[UUID] = set()  # sagas that it began itself
        self.away = away
        self._place = place

    @contextmanager
    def place(self) -> Iterator[bool]:
        yield self._place

    def known(self, saga_ids: Collection[UUID]) -> set[UUID]:
        return self.has & set(saga_ids)

    def deliver(self, checkout: CheckoutHandover, _prefer: str = "") -> Reply | None:
        if self.away:
            return None
        self.told.append(str(checkout.saga_id))
        return Reply(202, {"saga_id": self.told[-1]}, {})


@pytest.fixture
def carrito(service_client: Callable[..., FlaskClient], fresh_database_url: str) -> Carrito:
    broker = "amqp://127.0.0.1:1"  # staged events stay in the outbox, so any address will do
    return Carrito(service_client("carrito", database_url=fresh_database_url, rabbitmq_url=broker))


def accepted(carrito: Carrito, sagas: Sagas, style: str = ORCHESTRATED, handover_seconds: float = LATER) -> str:
    """Begin a checkout at carrito; return its saga."""
    app = carrito.client.application
    app.extensions["handover"] = sagas
    app.extensions["settings"] = app.extensions["settings"].model_copy(update={"handover_seconds": handover_seconds})
    body = {"payment_method": "paypal", "billing_address": "here", "saga_pattern": style}
    response = carrito.client.post(
        "/checkout/saga", json={"cart_id": str(carrito.open_cart((1, 1))), "user_id": USER, **body}
    )
    assert response.status_code == 202
    return str(response.get_json()["saga_id"])


def begun_by_the_orchestrator(carrito: Carrito, count: int) -> list[Saga]:
    """Have the orchestrator freeze so many carts, whose handovers are overdue at once."""
    app = carrito.client.application
    app.extensions["settings"] = app.extensions["settings"].model_copy(update={"handover_seconds": 0})
    return [carrito.saga_of(carrito.open_cart((1, 1))) for _ in range(count)]


def work(carrito: Carrito, again_seconds: float = LATER, styles: Sequence[str] = BOTH) -> int:
    """Run the loops of carrito's worker once, of these styles; return how many checkouts they tried."""
    with carrito.client.application.app_context():
        unknown = hand_over_unknown(again_seconds) if ORCHESTRATED in styles else 0
        return unknown + sum(deliver_overdue(style, again_seconds) for style in styles)


def to_deliver(connection: Connection, limit: int) -> list[CheckoutHandover]:
    return take_overdue(connection, ORCHESTRATED, limit, LATER, by_saga_service=False)


def test_what_its_request_has_no_place_to_tell_of_the_worker_tells_once(carrito: Carrito) -> None:
    sagas = Sagas()
    saga_id = accepted(carrito, sagas)
    assert sagas.told == []
    assert [work(carrito, 0), work(carrito, 0)] == [1, 0]
    assert sagas.told == [saga_id]


@in_both_styles
def test_while_nobody_is_there_to_be_told_it_is_tried_again(carrito: Carrito, style: str) -> None:
    sagas = Sagas(place=True, away=True)
    saga_id = accepted(carrito, sagas, style, handover_seconds=0)
    assert [work(carrito, 0), work(carrito, 0)] == [1, 1]
    sagas.away = False
    assert [work(carrito, 0), work(carrito, 0)] == [1, 0]
    assert sagas.told == [saga_id]


def test_one_that_was_just_tried_is_left_alone_for_a_while(carrito: Carrito) -> None:
    accepted(carrito, Sagas(away=True))
    assert [work(carrito, LATER), work(carrito, LATER)] == [1, 0]


@in_both_styles
def test_the_worker_leaves_to_its_request_what_is_not_overdue(carrito: Carrito, style: str) -> None:
    sagas = Sagas(place=True, away=True)
    accepted(carrito, sagas, style)
    sagas.away = False
    assert work(carrito) == 0
    assert sagas.told == []


@in_both_styles
def test_what_its_request_told_of_the_worker_does_not_tell_again(carrito: Carrito, style: str) -> None:
    sagas = Sagas(place=True)
    saga_id = accepted(carrito, sagas, style, handover_seconds=0)
    assert work(carrito) == 0
    assert sagas.told == [saga_id]


def test_the_worker_tells_of_a_choreographed_one_that_its_request_had_no_place_for(carrito: Carrito) -> None:
    """When it is overdue: its first event reaches the service sooner."""
    sagas = Sagas()
    saga_id = accepted(carrito, sagas, CHOREOGRAPHED, handover_seconds=0)
    assert [work(carrito), work(carrito)] == [1, 0]
    assert sagas.told == [saga_id]


def test_a_worker_passes_over_what_another_is_just_taking(carrito: Carrito) -> None:
    saga_ids = [accepted(carrito, Sagas()) for _ in range(2)]
    with carrito.transaction() as one, carrito.transaction() as other:
        taken = [*to_deliver(one, 1), *to_deliver(other, 1)]
    assert sorted(str(row.saga_id) for row in taken) == sorted(saga_ids)


def test_workers_that_look_at_the_same_moment_tell_of_each_checkout_once(carrito: Carrito) -> None:
    sagas = Sagas()
    saga_ids = [accepted(carrito, sagas) for _ in range(60)]

    def work_until_nothing_is_left() -> None:
        while work(carrito):
            pass

    concurrently(*[work_until_nothing_is_left] * 4)
    assert sorted(sagas.told) == sorted(saga_ids)


def test_one_style_waits_for_nobody_of_the_other(carrito: Carrito) -> None:
    """A whole batch of the other style's checkouts is overdue, and its service is away."""
    sagas = Sagas()
    for _ in range(DELIVERED_TOGETHER):
        accepted(carrito, sagas, CHOREOGRAPHED, handover_seconds=0)
    saga_id = accepted(carrito, sagas, ORCHESTRATED)
    assert work(carrito, styles=[ORCHESTRATED]) == 1
    assert sagas.told == [saga_id]


def test_one_that_began_at_carrito_does_not_wait_behind_those_to_ask_for(carrito: Carrito) -> None:
    sagas = Sagas()
    begun_by_the_orchestrator(carrito, MOST_SAGA_IDS + 1)
    saga_id = accepted(carrito, sagas)
    with carrito.transaction() as connection:
        assert [str(each.saga_id) for each in to_deliver(connection, DELIVERED_TOGETHER)] == [saga_id]


def test_the_orchestrator_is_asked_for_as_many_as_a_request_may_name(carrito: Carrito) -> None:
    sagas = Sagas()
    sagas.has = {saga.saga_id for saga in begun_by_the_orchestrator(carrito, MOST_SAGA_IDS + 1)}
    accepted(carrito, sagas)
    with carrito.client.application.app_context():
        assert [hand_over_unknown(LATER) for _ in range(3)] == [MOST_SAGA_IDS, 1, 0]
    assert sagas.told == []


def test_one_that_is_begun_for_the_window_is_known_there(carrito: Carrito) -> None:
    sagas = Sagas()
    body = {
        "user_id": USER,
        "payment_method": "paypal",
        "billing_address": "here",
        "saga_pattern": CHOREOGRAPHED,
    }
    app = carrito.client.application
    app.extensions["handover"] = sagas
    app.extensions["settings"] = app.extensions["settings"].model_copy(update={"handover_seconds": 0})
    assert carrito.client.post(f"/carts/{carrito.open_cart((1, 1))}/checkout", json=body).status_code == 201
    assert work(carrito) == 0
    assert sagas.told == []


def test_of_what_its_service_began_the_worker_delivers_what_that_does_not_have(carrito: Carrito) -> None:
    """The service may have died with the answer. No order shows that it has the saga: anybody may have made it."""
    sagas = Sagas()
    app = carrito.client.application
    known, begun, ordered, confirmed = begun_by_the_orchestrator(carrito, 4)
    for saga in (known, ordered, confirmed):
        assert carrito.order(saga).status_code == 201
    assert carrito.confirm(confirmed).status_code == 200
    app.extensions["handover"] = sagas
    sagas.has = {known.saga_id}
    assert [work(carrito), work(carrito)] == [4, 0]
    assert sorted(sagas.told) == sorted(str(saga.saga_id) for saga in (begun, ordered, confirmed))


def test_what_began_at_carrito_is_delivered_without_a_question(carrito: Carrito) -> None:
    sagas = Sagas(place=True, away=True)
    saga_id = accepted(carrito, sagas, handover_seconds=0)
    sagas.away = False
    sagas.has = {UUID(saga_id)}
    assert work(carrito) == 1
    assert sagas.told == [saga_id]

"""A step is compensated alone only when its saga has turned back; an earlier request leaves no trace."""

from collections.abc import Callable
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from pydantic import SecretStr

from carrito.domain import Checkout
from shared.http.client import PeerUnavailable
from shared.saga.standing import Standing
from tests.integration.api_client import body_of
from tests.integration.carrito_client import Carrito, TurnedBack
from tests.integration.inventario_client import UNRESERVE, Inventario
from tests.integration.inventario_client import Saga as Buyer
from tests.integration.pagos_client import Pagos
from tests.integration.pagos_client import Saga as Payer


class Said(Standing):
    """Stands for carrito: these sagas have turned back."""

    def __init__(self) -> None:
        super().__init__("", SecretStr(""))
        self.turned_back: set[UUID] = set()
        self.queried: list[UUID] = []
        self.away = False

    def of(self, saga_id: UUID) -> bool:
        self.queried.append(saga_id)
        if self.away:
            raise PeerUnavailable("carrito: connection refused")
        return saga_id not in self.turned_back


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture
def pagos(service_client: Callable[..., FlaskClient], said: Said) -> Pagos:
    client = service_client("pagos", currency="EUR")
    client.application.extensions["standing"] = said
    return Pagos(client)


@pytest.fixture
def inventario(service_client: Callable[..., FlaskClient], said: Said) -> Inventario:
    client = service_client("inventario", hold_seconds=60)
    client.application.extensions["standing"] = said
    return Inventario(client)


def test_captured_money_goes_back_once_the_saga_has_turned_back(pagos: Pagos, said: Said) -> None:
    saga = Payer(20)
    first = pagos.charge(saga).json
    early = pagos.refund(saga)
    assert (early.status_code, (early.json or {})["type"]) == (409, "/problems/saga-stands")
    assert pagos.charge(saga).json == first  # it can be requested again
    said.turned_back.add(saga.saga_id)
    assert (pagos.refund(saga).json or {})["status"] == "refunded"
    assert pagos.charge(saga).status_code == 409


def test_nobody_is_queried_about_money_that_was_not_taken_or_is_back(pagos: Pagos, said: Said) -> None:
    never, declined, undone = Payer(), Payer(20, "declined_card"), Payer()
    pagos.charge(declined)
    pagos.charge(undone)
    said.turned_back.add(undone.saga_id)
    pagos.refund(undone)
    queried = len(said.queried)
    assert [(pagos.refund(each).json or {})["status"] for each in (never, declined, undone)] == [
        "void",
        "declined",
        "refunded",
    ]
    assert len(said.queried) == queried == 1


def test_of_many_refunds_only_those_that_stand_wait(pagos: Pagos, said: Said) -> None:
    standing, turned_back, never = Payer(), Payer(), Payer()
    for each in (standing, turned_back):
        pagos.charge(each)
    said.turned_back.add(turned_back.saga_id)
    commands = [(each.refund_path, {"saga_id": each.saga_id}) for each in (standing, turned_back, never)]
    for _ in range(2):
        outcomes = pagos.many(*commands)
        assert [each["status"] for each in outcomes] == [409, 200, 200]
        assert [each["body"]["status"] for each in outcomes] == [409, "refunded", "void"]


def test_while_carrito_is_away_nothing_that_stands_is_undone(pagos: Pagos, inventario: Inventario, said: Said) -> None:
    payer, buyer = Payer(), Buyer()
    pagos.charge(payer)
    product = inventario.add(5)
    inventario.reserve(buyer, {product: 2})
    inventario.commit(buyer)
    said.away = True
    assert (pagos.refund(payer).status_code, inventario.unreserve(buyer).status_code) == (503, 503)
    assert inventario.stock(product) == (3, 0, 2)
    assert [each["status"] for each in pagos.payments_of(payer)] == ["captured"]
    said.away = False
    said.turned_back |= {payer.saga_id, buyer.saga_id}
    assert (pagos.refund(payer).status_code, inventario.unreserve(buyer).status_code) == (200, 200)


def test_what_is_held_goes_back_at_once_and_what_is_sold_with_its_saga(inventario: Inventario, said: Said) -> None:
    product = inventario.add(5)
    holder, buyer = Buyer(), Buyer()
    for each in (holder, buyer):
        inventario.reserve(each, {product: 1})
    inventario.commit(buyer)
    outcomes = inventario.many(*[(UNRESERVE, each.body) for each in (holder, buyer)])
    assert [each["status"] for each in outcomes] == [200, 409]
    assert inventario.stock(product) == (4, 0, 1)
    assert inventario.commit(buyer).status_code == 200  # repeated, as if no service had been called
    said.turned_back.add(buyer.saga_id)
    assert body_of(inventario.unreserve(buyer))["status"] == "released"
    assert inventario.stock(product) == (5, 0, 0)


class Forward(TurnedBack):
    """Stands for the orchestrator: no saga has turned back."""

    def has_turned_back(self, checkout: Checkout) -> bool:  # noqa: ARG002  (of every saga)
        return False


def test_the_order_of_a_checkout_is_cancelled_once_its_saga_has_turned_back(
    service_client: Callable[..., FlaskClient],
) -> None:
    client = service_client("carrito", handover_seconds=60)
    carrito = Carrito(client)
    back = client.application.extensions["handover"]
    client.application.extensions["handover"] = Forward(client.application.extensions["settings"], places=8)
    saga = carrito.saga_of(carrito.open_cart((1, 1)))
    standing = f"/checkouts/{saga.saga_id}/standing"
    assert carrito.order(saga).status_code == 201
    assert carrito.confirm(saga, saga_id=saga.saga_id).status_code == 200
    assert (carrito.cancel(saga).status_code, body_of(carrito.get(standing))["stands"]) == (409, True)
    assert carrito.confirm(saga, saga_id=saga.saga_id).status_code == 200  # repeated, as if no service had been called
    client.application.extensions["handover"] = back
    assert body_of(carrito.cancel(saga))["status"] == "cancelled"
    client.application.extensions["handover"] = Forward(client.application.extensions["settings"], places=8)
    assert body_of(carrito.get(standing))["stands"] is False


def test_an_order_that_was_never_made_is_kept_from_being_made_by_anybody(
    service_client: Callable[..., FlaskClient],
) -> None:
    """Its saga turns back then."""
    client = service_client("carrito", handover_seconds=60)
    carrito = Carrito(client)
    client.application.extensions["handover"] = Forward(client.application.extensions["settings"], places=8)
    saga = carrito.saga_of(carrito.open_cart((1, 1)))
    assert body_of(carrito.get(f"/checkouts/{saga.saga_id}/standing"))["stands"] is True
    assert body_of(carrito.cancel(saga))["status"] == "void"
    assert body_of(carrito.get(f"/checkouts/{saga.saga_id}/standing"))["stands"] is False
    assert carrito.order(saga).status_code == 409

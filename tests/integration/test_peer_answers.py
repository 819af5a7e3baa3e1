"""An answer that is not what its contract says counts as none, at every client of a peer."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from carrito.config import Settings
from carrito.domain import Checkout, CheckoutHandover, Product
from carrito.handover import MOST_SAGA_IDS, Handover
from carrito.inventario_client import InventarioClient
from shared.http.client import PEER_FAILED
from shared.saga.carrito_client import CarritoClient
from shared.saga.frozen import FrozenCart, FrozenLine
from shared.saga.standing import Standing
from shared.saga.views import CheckoutIn
from tests.integration.answering_service import Service, answering_service

SAGA, OTHER, CART = UUID(int=1), UUID(int=2), UUID(int=3)
FROZEN = {
    "saga_id": str(SAGA),
    "items": [{"product_id": 7, "quantity": 2}],
    "total": 20.5,
    "currency": "EUR",
    "payment_id": str(CART),
}
PRODUCT = {"id": 7, "name": "mate", "price": 10.25, "available": 3}
CHECKOUT = CheckoutIn(cart_id=CART, user_id="ana", payment_method="paypal", billing_address="here")
HANDOVER = CheckoutHandover(
    saga_id=SAGA,
    cart_id=CART,
    user_id="ana",
    payment_method="paypal",
    billing_address="here",
    saga_pattern="orchestrated",
    trace="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    fault=None,
)
PROBLEM = {"type": "/problems/no-saga", "title": "No such saga", "status": 404, "detail": "there is none"}


@dataclass(frozen=True)
class Client:
    """One way in which a service reads another: what to call, a good answer, its value, and answers that do not fit."""

    call: Callable[[str], Any]
    good: Mapping[str, Any]
    value: Any
    odd: tuple[Mapping[str, Any], ...]


def handover(url: str) -> Handover:
    settings = Settings(_env_file=None, DATABASE_URL="postgresql://nobody/nothing", orchestrator_url=url)
    return Handover(settings, places=1)


def checkout() -> Checkout:
    names = ("saga_id", "cart_id", "saga_pattern")
    values = {name: getattr(HANDOVER, name) for name in names}
    return Checkout(**{**dict.fromkeys(Checkout.__dataclass_fields__), **values})


def carrito(url: str) -> CarritoClient:
    return CarritoClient(url, None, "orchestrated", max_concurrent=1)


CART_ODDITIES: tuple[Mapping[str, Any], ...] = (
    {},
    {**FROZEN, "saga_id": "one"},
    {**FROZEN, "items": None},
    {**FROZEN, "items": [7]},
    {**FROZEN, "payment_id": 5},
    {**FROZEN, "total": "much"},
)
FROZEN_CART = FrozenCart(SAGA, (FrozenLine(7, 2),), 2050, "EUR", {"payment_id": CART})
CLIENTS = {
    "whether a saga stands": Client(
        lambda url: Standing(url, None).of(SAGA),
        {"stands": True},
        True,
        ({}, {"stands": None}, {"stands": "false"}, {"stands": 0}),
    ),
    "whether a saga turned back": Client(
        lambda url: handover(url).has_turned_back(checkout()),
        {"turned_back": True},
        True,
        ({}, {"turned_back": None}, {"turned_back": "no"}),
    ),
    "a product": Client(
        lambda url: InventarioClient(url, None, places=1).get_product(7),
        PRODUCT,
        Product(7, "mate", 1025, 3),
        ({}, {**PRODUCT, "price": None}, {**PRODUCT, "price": 1.001}, {**PRODUCT, "name": 1}, {**PRODUCT, "id": "x"}),
    ),
    "a cart to freeze": Client(
        lambda url: carrito(url).begin_checkout(CHECKOUT, None, None).cart, FROZEN, FROZEN_CART, CART_ODDITIES
    ),
    "a cart to freeze under a key": Client(
        lambda url: carrito(url).begin_checkout(CHECKOUT, "key", None).cart, FROZEN, FROZEN_CART, CART_ODDITIES
    ),
    "a cart that was frozen": Client(
        lambda url: carrito(url).find_checkout(CHECKOUT, SAGA).cart, FROZEN, FROZEN_CART, CART_ODDITIES
    ),
}
READ_BY_ID = ("whether a saga stands", "whether a saga turned back")


@pytest.fixture
def peer() -> Iterator[Service]:
    with answering_service() as service:
        yield service


@pytest.mark.parametrize("name", CLIENTS)
def test_a_peer_s_answer_is_read(peer: Service, name: str) -> None:
    client = CLIENTS[name]
    peer.answer = lambda _, __: (200, client.good)
    assert client.call(peer.url) == client.value


@pytest.mark.parametrize(
    ("name", "odd"), [(name, odd) for name, client in CLIENTS.items() for odd in range(len(client.odd))]
)
def test_an_answer_that_does_not_fit_is_none(peer: Service, name: str, odd: int) -> None:
    client = CLIENTS[name]
    peer.answer = lambda _, __: (200, client.odd[odd])
    with pytest.raises(PEER_FAILED):
        client.call(peer.url)


@pytest.mark.parametrize(
    "body",
    [{}, {"message": "no route"}, *({**PROBLEM, "type": of} for of in ("/problems/not-found", "about:blank"))],
    ids=str,
)
@pytest.mark.parametrize("name", READ_BY_ID)
def test_a_path_that_nobody_knows_says_nothing_of_a_saga(peer: Service, name: str, body: dict[str, Any]) -> None:
    peer.answer = lambda _, __: (404, body)
    with pytest.raises(PEER_FAILED):
        CLIENTS[name].call(peer.url)
    peer.answer = lambda _, __: (404, PROBLEM)
    assert CLIENTS[name].call(peer.url) is False


def test_the_orchestrator_tells_which_sagas_it_has(peer: Service) -> None:
    peer.answer = lambda _, __: (200, {"items": [{"saga_id": str(SAGA)}, {"saga_id": str(OTHER)}]})
    assert handover(peer.url).known({SAGA}) == {SAGA}
    assert peer.requested == [f"/saga?saga_id={SAGA}&limit={MOST_SAGA_IDS}"]
    peer.answer = lambda _, __: (200, {"items": []})
    assert handover(peer.url).known({SAGA}) == set()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {}),  # a gateway's
        (200, []),
        (200, {"items": None}),
        (200, {"items": [None]}),
        (200, {"items": [{"id": str(SAGA)}]}),
        (200, {"items": [{"saga_id": "one"}]}),
        (302, {"items": [{"saga_id": str(SAGA)}]}),
        (404, {}),
        (422, {"detail": "an older version"}),
        (422, PROBLEM),
        (503, {"detail": "not now"}),
    ],
    ids=str,
)
def test_what_the_orchestrator_does_not_say_that_it_has_is_not_known(peer: Service, status: int, body: Any) -> None:
    peer.answer = lambda _, __: (status, body)
    with capture_logs() as logs:
        assert handover(peer.url).known({SAGA}) == set()
    assert [each["event"] for each in logs] == ["the orchestrator does not tell which sagas it has"]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {}),
        (202, {"saga_id": None}),
        (202, {"saga_id": str(OTHER)}),
        (302, {"saga_id": str(SAGA)}),
        (404, {}),
        (409, PROBLEM),
        (503, PROBLEM),
    ],
    ids=str,
)
def test_a_checkout_is_handed_over_only_when_its_service_names_its_saga(
    peer: Service, status: int, body: dict[str, Any]
) -> None:
    peer.answer = lambda _, __: (status, body)
    with capture_logs() as logs:
        assert handover(peer.url).deliver(HANDOVER) is None
    assert [each["saga_id"] for each in logs] == [str(SAGA)]
    peer.answer = lambda _, __: (202, {"saga_id": str(SAGA), "status": "pending"})
    assert handover(peer.url).deliver(HANDOVER) is not None

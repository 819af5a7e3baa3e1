"""Any batches of orders end as if their commands had come one by one."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.ids import new_id
from shared.json_codec import dumps
from tests.integration.api_client import body_of
from tests.integration.carrito_client import Carrito, Saga, begun

ServiceClient = Callable[..., FlaskClient]
pytestmark = pytest.mark.usefixtures("together")
Commands = list[tuple[str, dict[str, Any]]]

SAGAS = 4  # the last two have the same cart, which is open
CHANGES: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.just({}),
    st.builds(lambda number: {"order_of": number}, st.integers(0, SAGAS - 1)),
    st.sampled_from([{"user_id": "eve"}, {"cart_id": UUID(int=7)}, {"quantity": 1}]),
)
NUMBER = st.integers(0, SAGAS - 1)
ORDERS = st.tuples(st.just("orders"), st.lists(st.tuples(NUMBER, CHANGES), min_size=1, max_size=6))
OTHERS = st.tuples(
    st.sampled_from(["confirm", "cancel", "release"]),
    st.lists(st.tuples(NUMBER, NUMBER, st.booleans(), st.booleans()), min_size=1, max_size=6),
)


@pytest.fixture
def carrito(service_client: ServiceClient) -> Carrito:
    return Carrito(service_client("carrito"))


class World:
    """Sagas and carts of its own; the answers about them are the same in every world."""

    def __init__(self, carrito: Carrito) -> None:
        self._carrito = carrito
        shared = carrito.open_cart((3, 1))
        self._sagas = [*begun(carrito, SAGAS - 2), Saga(shared, new_id()), Saga(shared, new_id())]
        self._names = {
            str(getattr(saga, kind)): f"{kind} {number}"
            for number, saga in enumerate(self._sagas)
            for kind in ("saga_id", "cart_id", "order_id")
        }

    def commands(self, kind: str, batch: Sequence[Any]) -> Commands:
        return [self._order(*each) if kind == "orders" else self._step(kind, *each) for each in batch]

    def one_by_one(self, commands: Commands) -> list[str]:
        answers = [self._carrito.post(path, body) for path, body in commands]
        return [self._read({"status": each.status_code, "body": each.json}) for each in answers]

    def together(self, commands: Commands) -> list[str]:
        return [self._read(outcome) for outcome in self._carrito.many(*commands)]

    def books(self) -> list[str]:
        made = [body_of(self._carrito.get(f"/orders/saga/{saga.cart_id}"))["items"] for saga in self._sagas]
        kept = [self._carrito.cart(saga.cart_id) for saga in self._sagas]
        return sorted(self._read({"body": each}) for each in [*kept, *(one for found in made for one in found)])

    def _order(self, number: int, change: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        body = {**self._sagas[number].order_body, **change}
        if "order_of" in change:
            # In a batch, sagas without a checkout come last: one that takes another order's id would come too late.
            by_hand = SAGAS - 2
            other = body.pop("order_of")
            body["order_id"] = self._sagas[max(other, by_hand) if number >= by_hand else other].order_id
        return "/orders", body

    def _step(self, what: str, number: int, other: int, own: bool, named: bool) -> tuple[str, dict[str, Any]]:
        saga = self._sagas[number]
        path = (saga if own else self._sagas[other]).path(what)
        return path, {"saga_id": saga.saga_id} if named or what == "release" else {}

    def _read(self, outcome: dict[str, Any]) -> str:
        words = dumps({**outcome, "body": {**outcome["body"], "created_at": None, "payment_id": None}})
        for name, label in self._names.items():
            words = words.replace(name, label)
        return words


@given(batches=st.lists(st.one_of(ORDERS, OTHERS), min_size=1, max_size=6))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_batches_end_as_if_their_commands_had_come_one_by_one(
    carrito: Carrito, batches: list[tuple[str, list[Any]]]
) -> None:
    alone, together = World(carrito), World(carrito)
    for kind, batch in batches:
        expected = alone.one_by_one(alone.commands(kind, batch))
        assert together.together(together.commands(kind, batch)) == expected
    assert together.books() == alone.books()

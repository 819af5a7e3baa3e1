"""Any batches of payments end as if their commands had come one by one."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pagos.domain import Method
from shared.json_codec import dumps
from tests.integration.pagos_client import PAYMENTS, Pagos, Saga, new_user

ServiceClient = Callable[..., FlaskClient]
pytestmark = pytest.mark.usefixtures("together")

SAGAS, USERS = 4, 2
CHANGES: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.just({}),
    st.builds(lambda number: {"payment_of": number}, st.integers(0, SAGAS - 1)),
    st.sampled_from([{"amount": 7}, {"user": 1}, {"payment_method": "paypal"}, {"amount": -1}]),
)
CHARGES = st.tuples(st.just("charge"), st.lists(st.tuples(st.integers(0, SAGAS - 1), CHANGES), min_size=1, max_size=6))
NAMES = st.tuples(st.integers(0, SAGAS - 1), st.integers(0, SAGAS - 1), st.booleans(), st.booleans())
REFUNDS = st.tuples(st.just("refund"), st.lists(NAMES, min_size=1, max_size=6))
FIRST = st.lists(st.integers(0, SAGAS - 1), min_size=2, max_size=SAGAS, unique=True)  # else most are compensated before
METHODS = [*[Method.WALLET] * len(Method), *sorted(Method)]  # half of them draw on wallets, which run short
WANTS = st.lists(
    st.tuples(st.integers(1, 30), st.sampled_from(METHODS), st.integers(0, USERS - 1)),
    min_size=SAGAS,
    max_size=SAGAS,
)


@pytest.fixture
def pagos(service_client: ServiceClient) -> Pagos:
    return Pagos(service_client("pagos"))


class World:
    """Sagas and users of its own; the answers about them are the same in every world."""

    def __init__(self, pagos: Pagos, wants: Sequence[tuple[int, str, int]]) -> None:
        self._pagos = pagos
        self._users = [new_user() for _ in range(USERS)]
        self._sagas = [Saga(amount, method, self._users[user]) for amount, method, user in wants]
        self._names = {user: f"user {number}" for number, user in enumerate(self._users)}
        for number, saga in enumerate(self._sagas):
            for kind in ("saga_id", "cart_id", "payment_id"):
                self._names[str(getattr(saga, kind))] = f"{kind} {number}"
        for user in self._users:
            pagos.deposit(user, 40)

    def commands(self, kind: str, batch: Sequence[Any]) -> list[tuple[str, dict[str, Any]]]:
        return [self._charge(*each) if kind == "charge" else self._refund(*each) for each in batch]

    def one_by_one(self, commands: Sequence[tuple[str, dict[str, Any]]]) -> list[str]:
        answers = [self._pagos.post(path, body) for path, body in commands]
        return [self._read({"status": each.status_code, "body": each.json}) for each in answers]

    def together(self, commands: Sequence[tuple[str, dict[str, Any]]]) -> list[str]:
        return [self._read(outcome) for outcome in self._pagos.many(*commands)]

    def books(self) -> tuple[list[Decimal], list[str]]:
        payments = [self._read({"body": payment}) for saga in self._sagas for payment in self._pagos.payments_of(saga)]
        return [self._pagos.balance(user) for user in self._users], sorted(payments)

    def _charge(self, number: int, change: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        body = {**self._sagas[number].charge, **change}
        if "payment_of" in change:
            body["payment_id"] = self._sagas[body.pop("payment_of")].payment_id
        if "user" in change:
            body["user_id"] = self._users[body.pop("user")]
        return PAYMENTS, body

    def _refund(self, number: int, payment: int, own: bool, named: bool) -> tuple[str, dict[str, Any]]:
        saga = self._sagas[number]
        path = (saga if own else self._sagas[payment]).refund_path
        return path, {"saga_id": saga.saga_id} if named else {}

    def _read(self, outcome: dict[str, Any]) -> str:
        told = {**outcome, "body": {**outcome["body"], "created_at": None}}
        words = dumps(told)
        for name, label in self._names.items():
            words = words.replace(name, label)
        return words


@given(first=FIRST, batches=st.lists(st.one_of(CHARGES, REFUNDS), min_size=1, max_size=5), wants=WANTS)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_batches_end_as_if_their_commands_had_come_one_by_one(
    pagos: Pagos, first: list[int], batches: list[tuple[str, list[Any]]], wants: list[tuple[int, str, int]]
) -> None:
    alone, together = World(pagos, wants), World(pagos, wants)
    charged: tuple[str, list[Any]] = ("charge", [(number, {}) for number in first])
    for kind, batch in [charged, *batches]:
        expected = alone.one_by_one(alone.commands(kind, batch))
        assert together.together(together.commands(kind, batch)) == expected
    assert together.books() == alone.books()

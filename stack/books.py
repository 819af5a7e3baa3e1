"""What each service answers to `GET /audit`: its books, read one service after the other."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.http_client import PEER_FAILED, Peer
from stack import settings
from stack.errors import StackError

SAGA_SERVICES = ("saga_orchestrator", "saga_choreography")
READ_SECONDS = 30.0  # an audit adds up whole tables, and says nothing until it is done


class Unreadable(StackError):
    """A service's books can't be read; the message says whose, and why."""


class _Audit(BaseModel):
    model_config = ConfigDict(frozen=True)


class SagaSet(_Audit):
    """A set of sagas: two of them are the same when size and digest are. Disjoint ones can be added."""

    count: int = 0
    sum: int = 0  # of a part of each id's hash

    def __add__(self, other: "SagaSet") -> "SagaSet":
        return SagaSet(count=self.count + other.count, sum=self.sum + other.sum)


class CarritoAudit(_Audit):
    """Carts, orders, what the confirmed ones are worth by currency, and how many events wait to be published."""

    carts: Mapping[str, int]
    orders: Mapping[str, int]
    confirmed_minor: Mapping[str, int]
    confirmed_without_cart: list[str]
    confirmed_sagas: SagaSet
    outbox: int


class InventarioAudit(_Audit):
    """Stock by shelf, and what reservations say of the same."""

    stock: Mapping[str, int]
    broken_products: list[int]
    reservations: Mapping[str, int]
    overdue_holds: int
    oldest_hold_overdue_seconds: int
    committed_minor: int
    committed_sagas: SagaSet
    outbox: int


class PagosAudit(_Audit):
    """Payments, wallets and the ledger, each by currency."""

    saga_payments: Mapping[str, Mapping[str, int]]
    other_payments: Mapping[str, Mapping[str, int]]
    accounts: Mapping[str, Mapping[str, int]]
    ledger_sum: int
    wallets: Mapping[str, Mapping[str, int]]
    broken_payments: list[str]
    broken_wallets: list[str]
    overpaid_sagas: list[str]
    undone_but_paid_sagas: list[str]
    paid_sagas: SagaSet
    outbox: int


class SagasAudit(_Audit):
    """Sagas by status, and those under way."""

    sagas: Mapping[str, int]
    live: int
    oldest_live_seconds: int | None
    carts_with_two_live_sagas: list[str]
    completed_sagas: SagaSet
    outbox: int = 0  # an orchestrator has none


SagaBooks = Mapping[str, SagasAudit]  # of the services that run sagas, or show them


@dataclass(frozen=True)
class Books:
    """The books of all services; those of the sagas twice, since reading them all takes a moment."""

    sagas: SagaBooks
    carrito: CarritoAudit
    inventario: InventarioAudit
    pagos: PagosAudit
    sagas_after: SagaBooks


A = TypeVar("A", bound=_Audit)


def read_books(urls: Mapping[str, str]) -> Books:
    """Read all books, those of the sagas first and last; `urls` by service. Raises `Unreadable`."""

    def read(service: str, kind: type[A]) -> A:
        return _read(service, urls[service], kind)

    def sagas() -> SagaBooks:
        return {service: read(service, SagasAudit) for service in SAGA_SERVICES if service in urls}

    return Books(
        sagas=sagas(),
        carrito=read("carrito", CarritoAudit),
        inventario=read("inventario", InventarioAudit),
        pagos=read("pagos", PagosAudit),
        sagas_after=sagas(),
    )


def _read(service: str, url: str, kind: type[A]) -> A:
    try:
        reply = Peer(service, url, settings.service_token(), READ_SECONDS).get("/audit")
    except PEER_FAILED as error:
        raise Unreadable(f"{error.detail} ({url}/audit)") from error
    if reply.status != 200:
        raise Unreadable(f"{service}: HTTP {reply.status} ({url}/audit)")
    try:
        return kind.model_validate(reply.body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the answer"
        raise Unreadable(f"{service}: this is no audit: {where}: {first['msg']} ({url}/audit)") from error

"""The books of the services: what each answers to `GET /audit`, from one snapshot."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from shared.auditing.services import Services

SAGA_SERVICES = ("saga_orchestrator", "saga_choreography")


class _Audit(BaseModel):
    model_config = ConfigDict(frozen=True)

    outbox: int = 0  # events that wait to be published; an orchestrator has none
    oldest_unpublished_seconds: int = 0


class CarritoAudit(_Audit):
    """Carts and orders by status, and what the confirmed ones are worth by currency."""

    carts: Mapping[str, int]
    orders: Mapping[str, int]
    confirmed_minor: Mapping[str, int]


class InventarioAudit(_Audit):
    """Stock by shelf, and what reservations say of the same."""

    stock: Mapping[str, int]
    broken_products: list[int]
    reservations: Mapping[str, int]
    overdue_holds: int
    oldest_hold_overdue_seconds: int
    committed_minor: int


class PagosAudit(_Audit):
    """Payments, wallets and the ledger, each by currency."""

    saga_payments: Mapping[str, Mapping[str, int]]
    other_payments: Mapping[str, Mapping[str, int]]
    accounts: Mapping[str, Mapping[str, int]]
    ledger_sum: int
    wallets: Mapping[str, Mapping[str, int]]
    broken_payments: list[str]
    broken_wallets: list[str]
    sagas_of_broken_payments: tuple[str, ...] = ()


class SagasAudit(_Audit):
    """Sagas by status, and those under way. Those that were born longer ago than the retention may be gone."""

    sagas: Mapping[str, int]
    live: int
    oldest_live_seconds: int | None
    carts_with_two_live_sagas: list[str]
    saga_retention_seconds: float


@dataclass(frozen=True)
class Books:
    """The books of all services."""

    sagas: Mapping[str, SagasAudit]  # of the saga services
    carrito: CarritoAudit
    inventario: InventarioAudit
    pagos: PagosAudit


def read_books(services: Services) -> Books:
    """Read all books. Raises `AuditUnreadable`."""
    kinds: dict[str, type[_Audit]] = {"carrito": CarritoAudit, "inventario": InventarioAudit, "pagos": PagosAudit}
    kinds |= {service: SagasAudit for service in SAGA_SERVICES if service in services}
    with ThreadPoolExecutor(len(kinds)) as pool:
        audits = pool.map(lambda each: services.read(each, "/audit", kinds[each]), kinds)
        books: dict[str, Any] = dict(zip(kinds, audits, strict=True))
    sagas = {service: books.pop(service) for service in SAGA_SERVICES if service in services}
    return Books(sagas=sagas, **books)

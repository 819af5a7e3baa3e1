"""The facts of all services about each saga, which the rules for sagas compare."""

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from shared.auditing.books import SAGA_SERVICES
from shared.auditing.services import Services
from shared.ids import made_at
from shared.saga.states import ENDED

F = TypeVar("F")
SAGAS_AT_ONCE = 1000  # sagas in one request for facts


class PricedLine(NamedTuple):
    """One line of an order or a sale; the price is in minor units."""

    product_id: int
    quantity: int
    unit_price_minor: int


class _Fact(BaseModel):
    model_config = ConfigDict(frozen=True)

    saga_id: str


class OrderFact(_Fact):
    """carrito's facts: the saga's order, if any, and the cart that it is checking out or has checked out.

    `saga_pattern` is the style of the checkout that began it, `as_frozen` whether the order is what was frozen then;
    both are None when carrito does not say.
    """

    status: str | None = None
    total_minor: int | None = None
    currency: str | None = None
    lines: tuple[PricedLine, ...] | None = None
    cart: str | None = None
    saga_pattern: str | None = None
    as_frozen: bool | None = None


class SaleFact(_Fact):
    """inventario's facts: the saga's reservation."""

    status: str
    lines: tuple[PricedLine, ...] | None


class PaymentFact(_Fact):
    """pagos' facts: what the saga paid; `payments` counts those not declined, `undone` means compensated."""

    currency: str
    captured_minor: int
    refunded_minor: int
    payments: int
    captured: int
    undone: bool


class StatusFact(_Fact):
    """A saga service's facts."""

    status: str


@dataclass(frozen=True)
class AuditedSaga:
    """One saga as all services see it. `statuses` are read from the saga services before and after all other facts."""

    id: str
    statuses: Mapping[str, str]
    statuses_after: Mapping[str, str]
    order: OrderFact | None = None
    sale: SaleFact | None = None
    payment: PaymentFact | None = None

    @property
    def known(self) -> bool:
        """Whether a saga service knows it. A saga that none knows was begun by single requests, or was purged there."""
        return bool(self.statuses_after)

    @property
    def began(self) -> bool:
        """Whether it began with a checkout, so that a saga service must know it."""
        return self.order is not None and self.order.saga_pattern is not None

    @property
    def status(self) -> str | None:
        """Its status; None when no saga service knows it, or it changed while it was read."""
        return next(iter(self.statuses_after.values()), None)

    @property
    def unchecked(self) -> str | None:
        """Why it can't be judged yet; None once it has ended."""
        if self.statuses != self.statuses_after:
            return "moving"
        busy = [status for status in self.statuses.values() if status not in ENDED]
        if busy:
            return busy[0]
        if not self.known and self._undecided:
            return "under way, and unknown to the saga services"
        return None

    @property
    def _undecided(self) -> bool:
        order, sale = self.order, self.sale
        waits = order is not None and (order.cart == "checking_out" or order.status == "pending")
        return waits or (sale is not None and sale.status == "held")

    @property
    def born(self) -> float:
        """When its id was made, as of `time.time`. An id that tells no time counts as new."""
        made = made_at(UUID(self.id))
        return math.inf if made is None else made.timestamp()

    @property
    def ordered(self) -> OrderFact | None:
        """Its order, if confirmed."""
        return self.order if self.order is not None and self.order.status == "confirmed" else None

    @property
    def sold(self) -> SaleFact | None:
        """Its sale, if committed."""
        return self.sale if self.sale is not None and self.sale.status == "committed" else None

    @property
    def kept_minor(self) -> int:
        """Captured less refunded, in minor units."""
        return 0 if self.payment is None else self.payment.captured_minor - self.payment.refunded_minor


class _Told(BaseModel, Generic[F]):
    facts: list[F]


_PARTICIPANTS: Mapping[str, type[BaseModel]] = {
    "carrito": _Told[OrderFact],
    "inventario": _Told[SaleFact],
    "pagos": _Told[PaymentFact],
}


def read_sagas(services: Services, saga_ids: Sequence[str], pool: Executor) -> Iterator[list[AuditedSaga]]:
    """Read all of these sagas, some at a time. Raises `AuditUnreadable`."""
    for first in range(0, len(saga_ids), SAGAS_AT_ONCE):
        yield _read_some(services, saga_ids[first : first + SAGAS_AT_ONCE], pool)


def _read_some(services: Services, saga_ids: Sequence[str], pool: Executor) -> list[AuditedSaga]:
    saga_services = [service for service in SAGA_SERVICES if service in services]

    def statuses() -> list[dict[str, str]]:
        told = pool.map(partial(_facts, services, saga_ids, _Told[StatusFact]), saga_services)
        return [{each.saga_id: each.status for each in facts} for facts in told]

    def of(saga_id: str, told: Sequence[Mapping[str, str]]) -> dict[str, str]:
        return {service: each[saga_id] for service, each in zip(saga_services, told, strict=True) if saga_id in each}

    before = statuses()
    participants = list(_PARTICIPANTS)
    told = pool.map(lambda service: _facts(services, saga_ids, _PARTICIPANTS[service], service), participants)
    orders, sales, payments = ({each.saga_id: each for each in facts} for facts in told)
    after = statuses()
    return [
        AuditedSaga(each, of(each, before), of(each, after), orders.get(each), sales.get(each), payments.get(each))
        for each in saga_ids
    ]


def _facts(services: Services, saga_ids: Sequence[str], kind: type[BaseModel], service: str) -> list[Any]:
    told: Any = services.read(service, "/audit/facts", kind, {"saga_ids": saga_ids})
    return list(told.facts)

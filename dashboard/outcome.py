"""The outcome of a saga according to carrito, pagos and inventario."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dashboard.words import State, money
from shared.saga.states import ENDED

Json = Mapping[str, Any]

STOCK = {"held": "held", "committed": "sold", "released": "back on the shelf", "expired": "back on the shelf"}
# A hold that expired before its release stays `expired`, and holds nothing.
NOT_HELD = frozenset({"released", "expired"})
ORDERS = {"void": "never made"}


@dataclass(frozen=True)
class Reading:
    """The answers of three services about one saga; None for what could not be read."""

    orders: Sequence[Json] | None
    payments: Sequence[Json] | None
    reservations: Sequence[Json] | None
    cart: Json | None


@dataclass(frozen=True)
class Fact:
    """One part of the outcome: order, payment, stock or cart."""

    name: str
    value: str
    detail: str
    state: State
    link: str = ""  # to a page with more


@dataclass(frozen=True)
class Outcome:
    """All parts, and for a saga that was undone whether anything is left over."""

    facts: list[Fact]
    left_over: str


def outcome_of(saga: Json, reading: Reading, currency: str = "") -> Outcome:
    """Return each service's part; what contradicts the saga's end is marked. `currency` is the shop's."""
    order, payment = (_own(saga, rows) for rows in (reading.orders, reading.payments))
    lines = [row for row in reading.reservations or () if row["saga_id"] == saga["saga_id"]]
    facts = [
        _unread("Order", "carrito") if reading.orders is None else _order(saga, order),
        _unread("Money", "pagos") if reading.payments is None else _money(saga, payment, currency),
        _unread("Stock", "inventario") if reading.reservations is None else _stock(saga, lines, reading.cart),
        _unread("Cart", "carrito") if reading.cart is None else _cart(saga, reading.cart),
    ]
    return Outcome(facts, _left_over(saga, facts))


def _own(saga: Json, rows: Sequence[Json] | None) -> Json | None:
    return next((row for row in rows or () if row["saga_id"] == saga["saga_id"]), None)


def _unread(name: str, service: str) -> Fact:
    return Fact(name, "not known", f"{service} cannot be reached", State.IDLE)


def _state(saga: Json, *, completed: bool, undone: bool) -> State:
    """Return the state of a part; `completed` and `undone` say whether its value is right after such an end."""
    if saga["status"] not in ENDED:
        return State.RUNNING
    if saga["status"] == "completed":
        return State.DONE if completed else State.FAILED
    return State.UNDONE if undone else State.FAILED


def _order(saga: Json, order: Json | None) -> Fact:
    status = "void" if order is None else str(order["status"])
    value = ORDERS.get(status, status)
    if order is None and saga["status"] not in ENDED:
        value = "not made yet"
    state = _state(saga, completed=status == "confirmed", undone=status in {"void", "cancelled"})
    if order is None:
        return Fact("Order", value, "", state)
    return Fact("Order", value, str(order["id"]), state, f"/orders/{order['id']}/receipt")


def _money(saga: Json, payment: Json | None, currency: str) -> Fact:
    taken, back = 0, 0
    if payment is not None:
        currency = payment["currency"]
    if payment is not None and payment["status"] in {"captured", "refunded"}:
        taken, back = payment["amount"], payment["refunded"] or 0
    state = _state(saga, completed=taken > 0 and back == 0, undone=taken == back)
    detail = f"{money(taken, currency)} taken, {money(back, currency)} given back"
    if payment is not None and payment["status"] == "declined":
        detail = "declined, nothing taken"
    return Fact("Money", f"{money(taken - back, currency)} kept", detail, state)


def _stock(saga: Json, lines: Sequence[Json], cart: Json | None) -> Fact:
    names = {item["product_id"]: item["name"] for item in (cart or {}).get("items", ())}
    statuses = {str(line["status"]) for line in lines}
    value = ", ".join(dict.fromkeys(STOCK.get(status, status) for status in sorted(statuses))) or "untouched"
    detail = ", ".join(f"{line['quantity']} × {_name(line, names)}" for line in lines)  # noqa: RUF001
    state = _state(saga, completed=statuses == {"committed"}, undone=statuses <= NOT_HELD)
    return Fact("Stock", value, detail, state)


def _name(line: Json, names: Mapping[Any, str]) -> str:
    return names.get(line["product_id"], f"product {line['product_id']}")


def _cart(saga: Json, cart: Json) -> Fact:
    status = str(cart["status"])
    mine = cart.get("saga_id") in {None, saga["saga_id"]}
    detail = "the shopper may try again" if status == "open" else "" if mine else "by a later checkout"
    state = _state(saga, completed=status == "checked_out", undone=status == "open" or not mine)
    return Fact("Cart", status.replace("_", " "), detail, state)


def _left_over(saga: Json, facts: Sequence[Fact]) -> str:
    if saga["status"] not in ENDED:
        return "it is not over yet"
    unknown = [fact.name.lower() for fact in facts if fact.state is State.IDLE]
    wrong = [f"{fact.name.lower()} {fact.value}" for fact in facts if fact.state is State.FAILED]
    if wrong:
        return ", ".join(wrong)
    if unknown:
        return f"not known of {', '.join(unknown)}"
    return "nothing: order, money, stock and cart were read"

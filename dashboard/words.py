"""The words of the pages: names of steps and their services, and the notation of states, durations and amounts."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, get_args

from shared.http.schemas import PaymentMethod


class State(StrEnum):
    """A state, with a colour; each has an icon and a word too, so that colour is never the only sign."""

    DONE = "done"
    RUNNING = "running"
    UNANSWERED = "unanswered"
    FAILED = "failed"
    UNDONE = "undone"
    IDLE = "idle"
    SKIPPED = "skipped"


ICONS = {
    State.DONE: "✓",
    State.RUNNING: "▶",
    State.UNANSWERED: "↻",
    State.FAILED: "✕",
    State.UNDONE: "↩",
    State.IDLE: "·",
    State.SKIPPED: "–",  # noqa: RUF001  (an en dash is meant)
}
WORDS = {
    State.DONE: "done",
    State.RUNNING: "running",
    State.UNANSWERED: "failed",
    State.FAILED: "refused",
    State.UNDONE: "undone",
    State.IDLE: "not reached",
    State.SKIPPED: "nothing to undo",
}
OUTCOMES = {**WORDS, State.UNANSWERED: "no answer"}  # words for the outcome of one request
OF_STATUS = {
    "pending": State.IDLE,
    "running": State.RUNNING,
    "completed": State.DONE,
    "compensating": State.UNDONE,
    "compensated": State.UNDONE,
    "stuck": State.FAILED,
}
STATUSES = tuple(OF_STATUS)
METHODS: tuple[str, ...] = get_args(PaymentMethod)  # the last three are always declined
UNKNOWN = "\u2013"  # instead of a figure

ACTIONS = {
    "read_cart": "Freeze cart",
    "reserve_inventory": "Reserve stock",
    "process_payment": "Take payment",
    "create_order": "Create order",
    "commit_inventory": "Sell stock",
    "confirm_order": "Confirm order",
}
COMPENSATIONS = {
    "read_cart": "Reopen cart",
    "reserve_inventory": "Release stock",
    "process_payment": "Refund",
    "create_order": "Cancel order",
    "commit_inventory": "Restock",
}
SERVICES = {
    "read_cart": "carrito",
    "reserve_inventory": "inventario",
    "process_payment": "pagos",
    "create_order": "carrito",
    "commit_inventory": "inventario",
    "confirm_order": "carrito",
}
PIVOT = "commit_inventory"
LANES = ("operator", "watchdog", "carrito", "inventario", "pagos")


def step_name(step: str, *, compensation: bool = False) -> str:
    """Return the name of a step's action or compensation; an unknown step keeps its technical name."""
    known = (COMPENSATIONS if compensation else ACTIONS).get(step)
    return known or (f"Undo {step}" if compensation else step).replace("_", " ")


def service_of(entry: Mapping[str, Any], step: str) -> str:
    """Return the service that did a step: the entry's, else the known one."""
    return str(entry.get("service") or SERVICES.get(step, "another service"))


def duration(milliseconds: float) -> str:
    """Write a duration: `85 ms`, `5.2 s`, `3 min 20 s`, `2 h 5 min`."""
    if milliseconds < 999.5:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} days"


def ago(then: datetime, now: datetime) -> str:
    """Write how long ago: `just now`, `12 s ago`, `3 min ago`, `2 h ago`, `5 days ago`."""
    seconds = (now - then).total_seconds()
    for unit, size in (("days", 86_400 * 2), ("h", 3600), ("min", 60), ("s", 2)):
        if seconds >= size:
            return f"{seconds // (86_400 if unit == 'days' else 1 if unit == 's' else size):.0f} {unit} ago"
    return "just now"


def due(then: datetime, now: datetime) -> str:
    """Write when something is due: `now`, also when it is overdue; `in 12 s`, `in 3 min 20 s`."""
    seconds = (then - now).total_seconds()
    return "now" if seconds < 1 else f"in {duration(round(seconds) * 1000).replace('.0', '')}"


def money(amount: Any, currency: str = "") -> str:
    """Write an amount with two places, and its currency if it is known."""
    return f"{amount:,.2f} {currency}".strip()


def counted(number: int, noun: str) -> str:
    """Write a number with its noun: `1 compensation`, `2,000 compensations`."""
    return f"{number} {noun}" if number == 1 else f"{number:,} {noun}s"

"""Prints a saga while it runs: a line for each request of the orchestrator, or for each event."""

import time
from collections.abc import Sequence
from datetime import datetime

from stack.demo.shop import Json, Shop, ShopError, Style
from stack.table import paint

POLL_SECONDS = 0.05  # often enough to look live
MOST_SECONDS = 90  # beyond a saga's own deadline for going forward
ENDED = ("completed", "compensated")
WORDS = {
    "succeeded": ("done", "green"),
    "refused": ("refused", "red"),
    "unknown": ("no answer", "yellow"),
}


def follow(shop: Shop, style: Style, saga_id: str) -> Json:
    """Print what happens to a saga until it has ended, and return it. Raises `ShopError` when that takes too long."""
    until = time.monotonic() + MOST_SECONDS
    narration = _Narration()
    while True:
        saga = shop.saga(style, saga_id)  # first, so that an ended one's timeline is whole
        if saga is not None:
            narration.tell(shop.timeline(style, saga_id))
            if saga["status"] in ENDED:
                narration.unfold()
                return saga
        if time.monotonic() > until:
            narration.unfold()
            status = "unknown" if saga is None else saga["status"]
            raise ShopError(f"Saga {saga_id} is still {status} after {MOST_SECONDS} seconds: make logs")
        time.sleep(POLL_SECONDS)


def seconds(began: str, ended: str) -> float:
    """Return the seconds between two times in the services' notation."""
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds()


class _Narration:
    """The printed lines of one saga."""

    def __init__(self) -> None:
        self._told: list[Json] = []
        self._folded = 0  # the number of attempts like the last one printed that came after it

    def tell(self, items: Sequence[Json]) -> None:
        """Print each entry once; a fault that becomes known later does not make it another one.

        Attempts that fail in the same way, one after another, are printed as one line and their number.
        """
        for entry in items:
            if any({**entry, "fault": None} == {**each, "fault": None} for each in self._told):
                continue
            if self._told and _attempted(entry) is not None and _attempted(entry) == _attempted(self._told[-1]):
                self._folded += 1
            else:
                self.unfold()
                print(_line(entry, items, [*self._told, entry]), flush=True)
            self._told.append(entry)

    def unfold(self) -> None:
        """Print the number of attempts that were not printed."""
        if self._folded:
            tries = "try" if self._folded == 1 else "tries"
            print(f"{_at(self._told[-1], self._told)}   {self._folded} more {tries} like this")
        self._folded = 0


def _attempted(entry: Json) -> tuple[str, ...] | None:
    """Return the fields that are equal in attempts that fail in the same way; None for other entries."""
    if entry["kind"] != "attempt" or entry["outcome"] == "succeeded":
        return None
    return tuple(entry[name] for name in ("step", "direction", "outcome", "detail"))


def _at(entry: Json, told: Sequence[Json]) -> str:
    return f"  {seconds(told[0]['started_at'], entry['finished_at']) * 1000:6.0f} ms  "


def _line(entry: Json, items: Sequence[Json], told: Sequence[Json]) -> str:
    at = _at(entry, told)
    if entry["kind"] == "attempt":
        return at + _attempt(entry, told)
    if entry["kind"] == "event":
        return at + _event(entry, items)
    if entry["kind"] == "compensating":
        return at + paint("   turning back", "yellow")
    return at + paint("   " + entry["kind"].replace("_", " "), "bold")


def _attempt(entry: Json, told: Sequence[Json]) -> str:
    """Return the line of a request: `->` marks a step, `<-` its compensation."""
    word, colour = WORDS[entry["outcome"]]
    undoes = entry["direction"] == "compensation"
    step = f"{'<- undo' if undoes else '->'} {entry['step']}".ljust(26)
    step = paint(step, "yellow") if undoes else step
    took = f"{seconds(entry['started_at'], entry['finished_at']) * 1000:.1f} ms"
    tries = sum(each["step"] == entry["step"] and each["direction"] == entry["direction"] for each in told)
    was_requested = any(each["step"] == entry["step"] and each["direction"] == "action" for each in told)
    notes = ["to be sure: nothing says that it ran"] * (undoes and not was_requested)
    notes += [f"try {tries}"] * (tries > 1) + [entry["detail"]] * (entry["detail"] is not None)
    before = ((entry["response"] or {}).get("body") or {}).get("injected_before")
    notes += [f"on purpose before: {before}"] * (before is not None)
    return f"{step}{paint(word.ljust(9), colour)}  {took:>9}  {', '.join(notes)}".rstrip()


def _event(entry: Json, items: Sequence[Json]) -> str:
    """Return the line of an event: its publisher, the event, and the event that caused it."""
    name = entry["event"].ljust(28)
    if entry["outcome"] == "refused":
        name = paint(name, "red")
    elif entry["direction"] == "compensation":
        name = paint(name, "yellow")
    elif entry["step"] is None:
        name = paint(name, "bold")
    because = [f"because of {each['event']}" for each in items if each["event_id"] == entry["cause"] is not None]
    notes = because + [entry["detail"]] * (entry["detail"] is not None and entry["outcome"] == "refused")
    notes += [f"on purpose: {entry['fault']}"] * (entry["fault"] is not None)
    return f"{entry['publisher']:<11} {name} {', '.join(notes)}".rstrip()

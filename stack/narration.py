"""Telling a saga as it happens: a line for each request that the orchestrator makes."""

import time
from datetime import datetime

from stack.shop import Json, Shop, ShopError
from stack.table import paint

POLL_SECONDS = 0.05  # often enough to look live
MOST_SECONDS = 90  # beyond the orchestrator's own deadline for going forward
ENDED = ("completed", "compensated")
WORDS = {
    "succeeded": ("done", "green"),
    "refused": ("refused", "red"),
    "unknown": ("no answer", "yellow"),
}


def follow(shop: Shop, saga_id: str) -> Json:
    """Tell what happens to a saga until it has ended, and return it. `ShopError` when that takes too long."""
    until = time.monotonic() + MOST_SECONDS
    told: list[Json] = []
    while True:
        saga = shop.get("saga_orchestrator", f"/saga/{saga_id}")  # first, so that an ended one's timeline is whole
        for entry in shop.get("saga_orchestrator", f"/saga/{saga_id}/timeline")["items"]:
            if entry not in told:
                told.append(entry)
                print(_line(entry, told), flush=True)
        if saga["status"] in ENDED:
            return saga
        if time.monotonic() > until:
            raise ShopError(f"Saga {saga_id} is still {saga['status']} after {MOST_SECONDS} seconds: make logs")
        time.sleep(POLL_SECONDS)


def seconds(began: str, ended: str) -> float:
    """Seconds between two times as the services write them."""
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds()


def _line(entry: Json, told: list[Json]) -> str:
    at = f"{seconds(told[0]['started_at'], entry['finished_at']) * 1000:6.0f} ms"
    if entry["kind"] == "attempt":
        return f"  {at}  {_attempt(entry, told)}"
    if entry["kind"] == "compensating":
        return f"  {at}  {paint('   turning back', 'yellow')}"
    return f"  {at}  {paint('   ' + entry['kind'].replace('_', ' '), 'bold')}"


def _attempt(entry: Json, told: list[Json]) -> str:
    """`->` is a step, `<-` its compensation."""
    word, colour = WORDS[entry["outcome"]]
    undoes = entry["direction"] == "compensation"
    step = f"{'<- undo' if undoes else '->'} {entry['step']}".ljust(26)
    step = paint(step, "yellow") if undoes else step
    took = f"{seconds(entry['started_at'], entry['finished_at']) * 1000:.1f} ms"
    tries = sum(each["step"] == entry["step"] and each["direction"] == entry["direction"] for each in told)
    asked = any(each["step"] == entry["step"] and each["direction"] == "action" for each in told)
    notes = ["to be sure: nothing says that it ran"] * (undoes and not asked)
    notes += [f"try {tries}"] * (tries > 1) + [entry["detail"]] * (entry["detail"] is not None)
    return f"{step}{paint(word.ljust(9), colour)}  {took:>9}  {', '.join(notes)}".rstrip()

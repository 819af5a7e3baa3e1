"""Sagas recorded from the services, and the pages made of them when they were last reviewed.

`python -m tests.unit.dashboard.recorded` writes the pages again; review the changes before you commit them.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dashboard.outcome import Reading
from dashboard.pages import Shown, saga_page

HERE = Path(__file__).parent / "recorded"
NAMES = sorted(path.stem for path in HERE.glob("*.json"))


def load(name: str) -> dict[str, Any]:
    """Return a recorded saga: `saga`, `timeline` and `outcome`, each as an API returned it."""
    found: dict[str, Any] = json.loads((HERE / f"{name}.json").read_text())
    return found


def reading_of(outcome: dict[str, Any]) -> Reading:
    """Return the answers of carrito, pagos and inventario."""
    orders, payments, reservations = (outcome[name]["items"] for name in ("orders", "payments", "reservations"))
    return Reading(orders, payments, reservations, outcome["cart"])


def page_of(told: dict[str, Any]) -> str:
    """Return the page at the time of the recording."""
    now = datetime.fromisoformat(told.get("now") or "2026-11-26T10:00:00+00:00").astimezone(UTC)
    return saga_page(told["saga"], told["timeline"]["items"], reading_of(told["outcome"]), now, Shown(currency="EUR"))


if __name__ == "__main__":
    for name in NAMES:
        (HERE / f"{name}.html").write_text(page_of(load(name)))

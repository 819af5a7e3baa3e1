"""Pages about several sagas, made of the data here, and as they were when last reviewed.

Only the part below the head of the page is kept. `python -m tests.unit.dashboard.views` writes them again; review the
changes before you commit them.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from dashboard import pages
from dashboard.choices import Choices
from dashboard.letter_filter import LetterFilter
from dashboard.listing import Filters, StyleReading, listing
from dashboard.load_counts import Counts, StyleCounts
from dashboard.load_driver import LoadState
from dashboard.load_plan import LoadPlan
from dashboard.parked import parked
from dashboard.sparks import Sample
from tests.unit.dashboard.recorded import load

HERE = Path(__file__).parent / "views"
NOW = datetime(2026, 11, 26, 10, tzinfo=UTC)
CHOSEN = Choices((("7", "2"), ("9", "1")), "declined_card", "<u>ana", "create_order=refuse")
PRODUCTS = [
    {"id": number, "name": name, "price": 24.9, "available": 3} for number, name in ((7, "<i>Mug</i>"), (9, "Pot"))
]
COUNTS = Counts(
    {
        "orchestrated": StyleCounts(1_204, 1_180, 20, 1, 84.2, 1_310.0),
        "choreographed": StyleCounts(3, 0, 0, 0, None, None),
    },
    held_back=12,
    in_flight=6,
    trouble="carrito: not <u>now",
)
ENDED = {
    "seconds": 3600.0,
    "live": {"pending": 0, "running": 3, "compensating": 1, "stuck": 0},
    "ended": {"completed": 1_204, "compensated": 40},
}
PLAN = LoadPlan(rate=20, choreographed=1, declined=5, method="wallet", products="hot")


def _comparison() -> str:
    told = {
        load(name)["saga"]["saga_pattern"]: load(name) for name in ("orchestrated-declined", "choreographed-declined")
    }
    ids = {style: each["saga"]["saga_id"] for style, each in told.items()}
    found = [(each["saga"], each["timeline"]["items"]) for each in told.values()]
    return pages.compare_page(ids, found, CHOSEN, NOW)


def _stats(number: int) -> dict[str, Any]:
    latency, books = {"p50": 90.0 + number % 7, "p95": 300.0 + number}, {"p50": None, "p95": None}
    return {"per_second": 2.0 + number % 3, "latency_ms": latency, "books_open_ms": books}


def _front() -> str:
    samples = [Sample(float(at), {"orchestrated": _stats(at), "choreographed": None}) for at in range(0, 40, 2)]
    told = load("orchestrated-retried")["saga"]
    readings = [
        StyleReading("orchestrated", "saga_orchestrator", [told], stats=_stats(0), ended=ENDED),
        StyleReading("choreographed", "saga_choreography", failure="saga_choreography cannot be reached"),
    ]
    return pages.sagas_page(listing(Filters(), readings, samples, 40.0), NOW)


def _dead_letters() -> str:
    said = {"service": "pagos", "event_id": "e1", "event": "order.created", "saga_id": None, "tries": 4}
    item: dict[str, Any] = {
        **said,
        "error": "UndefinedTable: <u>orders",
        "parked_at": "2026-11-26T08:00:00+00:00",
        "payload": {},
    }
    wanted = {"service": None, "event_ids": None, "event": None, "saga_id": None, "error": "orders"}
    done = {
        "id": "r1",
        "requested_at": "2026-11-26T09:00:00+00:00",
        "by": "luz",
        "reason": "it is back",
        "wanted": wanted,
    }
    page = {"items": [item], "redrives": [{**done, "wanted": wanted, "moved": [said], "finished_at": None}]}
    return pages.dead_letters_page(parked(page, LetterFilter(error="<u>orders", older="3600"), 200), "", NOW)


PAGES: dict[str, Callable[[], str]] = {
    "comparison": _comparison,
    "comparison-form": lambda: pages.compare_form(PRODUCTS, CHOSEN, "EUR", can_fail=True),
    "comparison-form-without-faults": lambda: pages.compare_form(
        PRODUCTS, CHOSEN, "EUR", can_fail=False, error="sold <u>out"
    ),
    "dead-letters": _dead_letters,
    "front": _front,
    "load-off": lambda: pages.load_page(LoadState(LoadPlan()), "Rate is a whole number from 1 to 50.", NOW),
    "load-running": lambda: pages.load_page(LoadState(PLAN, True, NOW - timedelta(minutes=3), "", COUNTS), "", NOW),
}


def main_of(name: str) -> str:
    """Return the part of a page below its head."""
    found = re.search(r"<main.*</main>", PAGES[name](), re.DOTALL)
    assert found is not None
    return f"{found[0]}\n"


if __name__ == "__main__":
    for name in PAGES:
        (HERE / f"{name}.html").write_text(main_of(name))

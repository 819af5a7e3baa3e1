"""Good audits: in each style a completed, a compensated and a declined checkout; a wallet, and a merchant's payment.

And services with these answers.
"""

import copy
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from shared.auditing.books import Books, CarritoAudit, InventarioAudit, PagosAudit, SagasAudit

Audits = dict[str, dict[str, Any]]
Json = dict[str, Any]

ORCHESTRATED = "01890a5d-ac96-774b-bcce-b302099a8001"
CHOREOGRAPHED = "01890a5d-ac96-774b-bcce-b302099a8002"
UNDONE = "01890a5d-ac96-774b-bcce-b302099a8003"
DECLINED = "01890a5d-ac96-774b-bcce-b302099a8004"
_GOOD: Audits = {
    "saga_orchestrator": {
        "sagas": {"completed": 1, "compensated": 2},
        "live": 0,
        "oldest_live_seconds": None,
        "carts_with_two_live_sagas": [],
        "saga_retention_seconds": 90 * 24 * 3600.0,
    },
    "saga_choreography": {
        "sagas": {"completed": 1},
        "live": 0,
        "oldest_live_seconds": None,
        "carts_with_two_live_sagas": [],
        "saga_retention_seconds": 90 * 24 * 3600.0,
        "outbox": 0,
        "oldest_unpublished_seconds": 0,
    },
    "carrito": {
        "carts": {"open": 2, "checked_out": 2},
        "orders": {"confirmed": 2, "cancelled": 1},
        "confirmed_minor": {"EUR": 1998},
        "outbox": 0,
        "oldest_unpublished_seconds": 0,
    },
    "inventario": {
        "stock": {"available": 8, "held": 0, "sold": 2, "seeded": 7, "restocked": 3},
        "broken_products": [],
        "reservations": {"committed": 2, "released": 1, "expired": 1},
        "overdue_holds": 0,
        "oldest_hold_overdue_seconds": 0,
        "committed_minor": 1998,
        "outbox": 0,
        "oldest_unpublished_seconds": 0,
    },
    "pagos": {
        "saga_payments": {"EUR": {"captured_minor": 2997, "refunded_minor": 999, "net_minor": 1998}},
        "other_payments": {"EUR": {"captured_minor": 100, "refunded_minor": 0, "net_minor": 100}},
        "payments": {"captured": 2, "refunded": 1, "declined": 1},
        "accounts": {"EUR": {"clearing:credit_card": 2598, "wallets": -500, "revenue": -2098}},
        "ledger_sum": 0,
        "wallets": {"EUR": {"balance_minor": 500, "ledger_minor": 500}},
        "broken_payments": [],
        "broken_wallets": [],
        "outbox": 0,
        "oldest_unpublished_seconds": 0,
    },
}
LINES = [[7, 1, 999]]
# The facts of each service about each saga.
_FACTS: dict[str, dict[str, Json]] = {
    "saga_orchestrator": {
        ORCHESTRATED: {"status": "completed"},
        UNDONE: {"status": "compensated"},
        DECLINED: {"status": "compensated"},
    },
    "saga_choreography": {CHOREOGRAPHED: {"status": "completed"}},
    "carrito": {
        saga_id: {"status": status, "total_minor": 999, "currency": "EUR", "cart": cart, "lines": LINES}
        for saga_id, status, cart in (
            (ORCHESTRATED, "confirmed", "checked_out"),
            (CHOREOGRAPHED, "confirmed", "checked_out"),
            (UNDONE, "cancelled", None),
        )
    },
    "inventario": {
        ORCHESTRATED: {"status": "committed", "lines": LINES},
        CHOREOGRAPHED: {"status": "committed", "lines": LINES},
        UNDONE: {"status": "released", "lines": LINES},
        DECLINED: {"status": "expired", "lines": LINES},
    },
    "pagos": {
        saga_id: {
            "currency": "EUR",
            "captured_minor": captured,
            "refunded_minor": refunded,
            "payments": int(captured > 0),
            "captured": int(captured > refunded),
            "undone": refunded > 0,
        }
        for saga_id, captured, refunded in (
            (ORCHESTRATED, 999, 0),
            (CHOREOGRAPHED, 999, 0),
            (UNDONE, 999, 999),
            (DECLINED, 0, 0),
        )
    },
}
Facts = dict[str, dict[str, Json]]


def good_audits(**changes: Any) -> Audits:
    """Return the audits, with changes such as `pagos__accounts__EUR__revenue=-1`."""
    return changed(_GOOD, changes)


def good_facts(**changes: Any) -> Facts:
    """Return the facts by service and saga."""
    return changed(_FACTS, changes)


def changed(good: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return a copy with these changes."""
    copied = copy.deepcopy(good)
    for path, value in changes.items():
        *parents, last = path.split("__")
        place: Any = copied
        for parent in parents:
            place = place[parent]
        place[last] = value
    return copied


def books_of(audits: Audits) -> Books:
    """Return the books with these audits."""
    return Books(
        sagas={name: SagasAudit.model_validate(audits[name]) for name in ("saga_orchestrator", "saga_choreography")},
        carrito=CarritoAudit.model_validate(audits["carrito"]),
        inventario=InventarioAudit.model_validate(audits["inventario"]),
        pagos=PagosAudit.model_validate(audits["pagos"]),
    )


class Service:
    """A service that answers an auditor; a test may change its answers, or have `before` called at each request."""

    def __init__(self, audit: Json, facts: dict[str, Json]) -> None:
        self.audit, self.facts = audit, facts
        self.place, self.begins, self.next_xid = "here", 1, 100
        self.changes: list[tuple[int, str]] = []
        self.queried: list[str] = []  # sagas whose facts were requested
        self.raw: tuple[int, bytes] | None = None  # the answer to every request, if set
        self.before: Callable[[str], None] = lambda _: None
        self.url = ""

    def change(self, saga_id: str, fact: Json | None) -> None:
        """Change a saga in a transaction of its own."""
        self.changes.append((self.next_xid, saga_id))
        self.next_xid += 1
        if fact is None:
            del self.facts[saga_id]
        else:
            self.facts[saga_id] = fact

    def answer(self, path: str, body: Json | None) -> Json:
        """Return the answer to a request."""
        where = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(where.query).items()}
        self.before(where.path)
        if where.path == "/audit":
            return self.audit
        if where.path == "/audit/sagas":
            return {"saga_ids": sorted(each for each in self.facts if each > query["after"])[:2]}
        if where.path == "/audit/facts":
            assert body is not None
            self.queried += body["saga_ids"]
            known = [each for each in body["saga_ids"] if each in self.facts]
            return {"facts": [{"saga_id": each, **self.facts[each]} for each in known]}
        assert where.path == "/audit/changes"
        since = (int(query.get("xid", self.next_xid)), query.get("saga_id", ""))
        page = sorted(each for each in self.changes if each > since)
        more = {"xid": page[0][0], "saga_id": page[0][1]} if len(page) > 1 else None
        answer = {"place": self.place, "begins": self.begins, "next_xid": self.next_xid, "more": more}
        return {**answer, "saga_ids": [saga_id for _, saga_id in page[:1]]}


@contextmanager
def serving(service: Service) -> Iterator[Service]:
    """Run the service at its own URL for the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(None)

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _answer(self, body: Json | None) -> None:
            status, text = service.raw or (200, json.dumps(service.answer(self.path, body)).encode())
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        service.url = f"http://127.0.0.1:{server.server_port}"
        yield service
        server.shutdown()

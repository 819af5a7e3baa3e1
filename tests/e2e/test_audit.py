"""The audit on a running system: it holds after real checkouts, and finds changes that somebody makes to the data."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests
from sqlalchemy import Connection, create_engine, text

from shared.config import ROOT
from shared.testing import wait_until
from stack.audit import run as audit
from stack.processes import PROCESSES
from tests.system.running import RunningSystem

HANG_SECONDS = 300  # transactions of other tests on the same server may be open for so long
USER = "ana"


class Shop:
    """Sends real checkouts over HTTP."""

    def __init__(self, system: RunningSystem) -> None:
        self.urls = {name: system.url(name) for name in audit.AUDITED}
        self.product = self.post("inventario", "/api/products", name="Mug", price="9.99", quantity=20, sku="mug")["id"]

    def post(self, service: str, path: str, wait: int = 0, **body: Any) -> Any:
        headers = {"Prefer": f"wait={wait}"} if wait else {}
        reply = requests.post(self.urls[service] + path, json=body, headers=headers, timeout=60)
        assert reply.status_code < 300, reply.text
        return reply.json()

    def checkout(self, payment_method: str, style: str = "orchestrated") -> dict[str, Any]:
        """Return a saga that has ended."""
        cart = self.post("carrito", "/carts", user_id=USER)["id"]
        self.post("carrito", f"/carts/{cart}/items", product_id=self.product, quantity=2)
        body = {
            "cart_id": cart,
            "user_id": USER,
            "payment_method": payment_method,
            "billing_address": "Main St 1",
        }
        saga: dict[str, Any] = self.post("carrito", "/checkout/saga", wait=30, saga_pattern=style, **body)
        return saga

    def audit(self, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `python -m stack.audit`, with its notes in this folder."""
        env = {PROCESSES[name].url_setting: url for name, url in self.urls.items()}
        command = [sys.executable, "-m", "stack.audit", "--home", str(home), *arguments]
        return subprocess.run(command, cwd=ROOT, env=os.environ | env, capture_output=True, text=True, check=False)


@pytest.fixture
def shop(start_system: Callable[..., RunningSystem], rabbitmq_url: str) -> Shop:
    """A shop with completed, declined and compensated checkouts of both styles, and one paid from a wallet."""
    shop = Shop(start_system(rabbitmq_url=rabbitmq_url, copies={"saga_orchestrator-worker": 1}))
    shop.post("pagos", f"/api/v1/wallets/{USER}/deposits", amount="50.00")
    shop.post("pagos", "/api/v1/payments", merchant_id="m", order_id="o", amount="5.00", payment_method="paypal")
    assert shop.checkout("credit_card")["status"] == "completed"
    assert shop.checkout("wallet")["status"] == "completed"
    assert shop.checkout("declined_card")["status"] == "compensated"
    undone = shop.checkout("debit_card")["saga_id"]
    assert shop.post("saga_orchestrator", f"/saga/{undone}/compensate", wait=30)["status"] == "compensated"
    assert shop.checkout("paypal", "choreographed")["status"] == "completed"
    assert shop.checkout("invalid_card", "choreographed")["status"] == "compensated"
    undone = shop.checkout("credit_card", "choreographed")["saga_id"]
    assert shop.post("saga_choreography", f"/saga/choreography/{undone}/compensate", wait=30)["status"] == "compensated"
    return shop


@pytest.fixture
def database(shop: Shop, fresh_database_url: str) -> Iterator[Connection]:
    """A connection to the shop's data, without the constraints that would refuse most of these changes."""
    engine = create_engine(fresh_database_url, isolation_level="AUTOCOMMIT")
    constraints = text(
        "SELECT conrelid::regclass, conname FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid"
        " WHERE contype IN ('c', 'f', 'u') AND relnamespace::regnamespace::text = ANY(:services)"
    )
    with engine.connect() as connection:
        for table, name in connection.execute(constraints, {"services": list(audit.AUDITED)}).all():
            connection.execute(text(f"ALTER TABLE {table} DROP CONSTRAINT {name} CASCADE"))
        yield connection
    engine.dispose()


WRITABLE = """
SELECT quote_ident(attname) FROM pg_attribute
 WHERE attrelid = CAST(:table AS regclass) AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
"""


@contextmanager
def tampered(database: Connection, statement: str) -> Iterator[None]:
    """Change one table by a statement during the block."""
    table = statement.removeprefix("DELETE FROM ").removeprefix("INSERT INTO ").removeprefix("UPDATE ").split()[0]
    database.execute(text(f"CREATE TEMPORARY TABLE kept AS TABLE {table}"))
    assert database.execute(text(statement)).rowcount > 0, statement
    yield
    database.execute(text(f"DELETE FROM {table}"))
    columns = ", ".join(database.scalars(text(WRITABLE), {"table": table}))
    database.execute(text(f"INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM kept"))
    database.execute(text("DROP TABLE kept"))


# Changes that somebody with the rights could make, and the rule that finds each.
TAMPERED = [
    ("UPDATE carrito.orders SET total_minor = total_minor + 1 WHERE status = 'confirmed'", "money_is_ordered"),
    ("UPDATE carrito.orders SET currency = 'USD' WHERE status = 'confirmed'", "money_is_ordered"),
    ("UPDATE carrito.orders SET total_minor = total_minor + 1 WHERE status = 'cancelled'", "orders_add_up"),
    ("UPDATE carrito.orders SET status = 'cancelled' WHERE status = 'confirmed'", "orders_are_paid_and_committed"),
    ("UPDATE carrito.orders SET status = 'confirmed' WHERE status = 'cancelled'", "orders_are_paid_and_committed"),
    ("DELETE FROM carrito.orders WHERE status = 'confirmed'", "orders_are_paid_and_committed"),
    ("UPDATE carrito.orders SET status = 'pending' WHERE status = 'confirmed'", "orders_are_decided"),
    ("UPDATE carrito.checkouts SET total_minor = 1", "orders_are_as_frozen"),
    ("UPDATE carrito.carts SET status = 'open' WHERE status = 'checked_out'", "orders_have_carts"),
    ("DELETE FROM pagos.ledger_transfers WHERE payment_id IS NOT NULL", "ledger_matches_payments"),
    ("UPDATE pagos.payments SET amount_minor = amount_minor * 2 WHERE status = 'captured'", "ledger_matches_payments"),
    ("UPDATE pagos.payments SET amount_minor = amount_minor * 2 WHERE status = 'captured'", "money_is_ordered"),
    ("UPDATE pagos.payments SET refunded_minor = -1 WHERE status = 'captured'", "refunds_are_within_captures"),
    (
        """UPDATE pagos.payments SET saga_id = (SELECT min(saga_id::text)::uuid FROM pagos.payments refunded
        WHERE refunded.status = 'refunded') WHERE saga_id IS NOT NULL""",
        "sagas_pay_once",
    ),
    ("UPDATE pagos.payments SET status = 'captured' WHERE status = 'refunded'", "refunds_are_final"),
    (
        """INSERT INTO pagos.barrier (saga_id, step, direction) SELECT saga_id, 'process_payment', 'compensation'
        FROM pagos.payments WHERE status = 'captured' AND saga_id IS NOT NULL""",
        "refunds_are_final",
    ),
    ("UPDATE pagos.wallets SET balance_minor = balance_minor + 1", "wallets_match_ledger"),
    ("UPDATE inventario.products SET sold = sold - 1", "stock_is_conserved"),
    ("UPDATE inventario.products SET sold = sold - 1, available = available + 1", "products_match_reservations"),
    ("UPDATE inventario.products SET held = 1, available = available - 1", "products_match_reservations"),
    ("UPDATE inventario.reservation_lines SET unit_price_minor = 1", "sales_are_ordered"),
    ("UPDATE inventario.reservation_lines SET quantity = quantity + 1", "sales_are_ordered"),
    ("UPDATE inventario.reservations SET status = 'held' WHERE status = 'released'", "holds_are_decided"),
    ("DELETE FROM inventario.reservations WHERE status = 'committed'", "orders_are_paid_and_committed"),
    ("UPDATE saga_orchestrator.sagas SET status = 'compensated'", "orders_are_paid_and_committed"),
    ("UPDATE saga_choreography.sagas SET status = 'completed'", "orders_are_paid_and_committed"),
    ("UPDATE saga_choreography.sagas SET status = 'stuck'", "sagas_end"),
    (
        """INSERT INTO saga_choreography.sagas (saga_id, cart_id, facts, status, deadline_at)
        SELECT saga_id, cart_id, '{}', 'completed', now() FROM saga_orchestrator.sagas""",
        "sagas_have_one_style",
    ),
    (
        """INSERT INTO pagos.outbox SELECT id, 'none', id, '{}', now() - interval '1 hour', NULL, NULL, 'infinity'
        FROM pagos.payments""",
        "events_are_published",
    ),
    (
        """UPDATE saga_orchestrator.sagas SET status = 'running', due_at = now() + interval '1 day',
        data = jsonb_set(
            data::jsonb, '{cart_id}', (SELECT to_jsonb(min(cart_id::text)) FROM saga_orchestrator.sagas)
        )::json""",
        "carts_have_one_saga",
    ),
    (
        """UPDATE saga_choreography.sagas SET status = 'running',
        cart_id = (SELECT min(cart_id::text)::uuid FROM saga_choreography.sagas)""",
        "carts_have_one_saga",
    ),
]
# No statement breaks these two: a transfer is one row, so one account gets what another one gives; and the sweeper lets
# no hold be overdue for long. The unit tests break both.
NOT_TAMPERED = {"ledger_sums_to_zero", "holds_end_in_time"}


def test_the_books_are_in_order_after_real_checkouts(shop: Shop, tmp_path: Path) -> None:
    done = shop.audit(tmp_path, "--wait", "30")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "captured 104.90 EUR, refunded 39.96 EUR" in done.stdout
    assert "Sagas checked: 7 (all there are)." in done.stdout
    assert f"All {len(audit.RULES)} rules hold." in done.stdout
    nothing = "Sagas checked: 0 (those that changed since the last audit"  # when transactions that were open have ended
    wait_until(lambda: nothing in shop.audit(tmp_path).stdout, "nothing is left to check", HANG_SECONDS)
    full = shop.audit(tmp_path, "--full")
    assert "Sagas checked: 7 (all there are)." in full.stdout


def test_what_is_tampered_with_is_found(
    shop: Shop, database: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in sagas that were in order before. One system for all changes, since starting one takes longest."""
    notes = tmp_path / "notes.json"
    assert audit.check(shop.urls, 30, notes).clean
    monkeypatch.setattr(audit, "SETTLE_SECONDS", 0)
    for statement, rule in TAMPERED:
        with tampered(database, statement):
            findings = audit.check(shop.urls, 0, notes)
            assert rule in findings.broken, statement
            assert not findings.full
        assert audit.check(shop.urls, 0, notes).clean, f"restored after: {statement}"


def test_every_rule_is_tampered_with() -> None:
    assert {rule for _, rule in TAMPERED} | NOT_TAMPERED == {rule.name for rule in audit.RULES}


def test_a_broken_rule_fails_loudly(shop: Shop, database: Connection, tmp_path: Path) -> None:
    with tampered(database, "DELETE FROM pagos.ledger_transfers WHERE payment_id IS NOT NULL"):
        done = shop.audit(tmp_path)
    assert done.returncode == 1
    assert "BROKEN: ledger_matches_payments" in done.stdout.splitlines()[-1]


def test_sagas_that_have_not_ended_hide_nothing(shop: Shop, database: Connection, tmp_path: Path) -> None:
    """Live and stuck sagas: the other sagas are checked one by one, and unchecked ones are named."""
    live = database.scalar(text("SELECT saga_id FROM saga_orchestrator.sagas WHERE status = 'completed' LIMIT 1"))
    mispaid = shop.checkout("credit_card")["saga_id"]
    database.execute(text(f"UPDATE carrito.orders SET total_minor = 259900 WHERE saga_id = '{mispaid}'"))
    busy = "status = 'running', due_at = now() + interval '1 day'"
    database.execute(text(f"UPDATE saga_orchestrator.sagas SET {busy} WHERE saga_id = '{live}'"))
    done = shop.audit(tmp_path)
    assert done.returncode == 1
    assert f"NOT CHECKED, since they have not ended: {live} (running)" in done.stdout
    row = next(line for line in done.stdout.splitlines() if "total of the confirmed order" in line)
    assert f"BROKEN  sagas that don't: {mispaid}" in row
    database.execute(text(f"UPDATE carrito.orders SET total_minor = 1998 WHERE saga_id = '{mispaid}'"))
    unchecked = shop.audit(tmp_path)
    assert unchecked.returncode == 3, unchecked.stdout
    assert str(live) in unchecked.stdout
    database.execute(text(f"UPDATE saga_orchestrator.sagas SET status = 'stuck' WHERE saga_id = '{live}'"))
    stuck = shop.audit(tmp_path)
    assert (stuck.returncode, f"{live} (stuck)" in stuck.stdout) == (1, True)


def test_what_was_made_by_hand_has_to_agree_as_well(shop: Shop, tmp_path: Path) -> None:
    """A payment without an order is named, although no saga service knows its saga; a complete saga is sound."""
    cart = shop.post("carrito", "/carts", user_id=USER)["id"]
    shop.post("carrito", f"/carts/{cart}/items", product_id=shop.product, quantity=1)
    saga = str(uuid4())
    whole: dict[str, Any] = {"saga_id": saga, "cart_id": cart}
    shop.post("inventario", "/api/products/reserve", **whole, items=[{"product_id": shop.product, "quantity": 1}])
    pay: dict[str, Any] = {"amount": "9.99", "payment_method": "paypal", "user_id": USER}
    shop.post("pagos", "/api/v1/payments/saga", **whole, **pay)
    order = shop.post("carrito", "/orders", **whole, user_id=USER)["id"]
    undecided = shop.audit(tmp_path)
    assert (undecided.returncode, saga in undecided.stdout) == (3, True), undecided.stdout
    shop.post("inventario", "/api/products/commit", **whole)
    shop.post("carrito", f"/orders/{order}/confirm", saga_id=saga)
    done = shop.audit(tmp_path)
    assert (done.returncode, f"Made by hand, and sound: {saga}." in done.stdout) == (0, True), done.stdout
    alone = str(uuid4())
    shop.post("pagos", "/api/v1/payments/saga", saga_id=alone, cart_id=str(uuid4()), **pay)
    broken = shop.audit(tmp_path)
    assert (broken.returncode, alone in broken.stdout) == (1, True), broken.stdout

"""A shop with many completed checkouts: rows as their sagas would have left them, written by SQL.

Half of the sagas are orchestrated, half choreographed; a few of each have not ended. By hand, for measurements: `python
-m tests.system.many_sagas DATABASE_URL 1000000`.
"""

import sys
import time

from sqlalchemy import Connection, create_engine, text

from saga_orchestrator.orchestrator import CHECKOUT
from saga_orchestrator.runtime.engine import apply, begin, next_command, started
from saga_orchestrator.runtime.serialization import state_to_json
from saga_orchestrator.runtime.state import SagaState, Succeeded
from shared.json_codec import dumps

PRODUCTS = 200
LIVE = 10  # the last sagas of each style, which have not ended

# An id of version 7: one saga every ten milliseconds until now, so that none is due to be purged; the rest is a hash.
_FUNCTIONS = """
CREATE OR REPLACE FUNCTION pg_temp.id_of(number bigint, kind text) RETURNS uuid LANGUAGE sql IMMUTABLE AS $id$
    SELECT CAST(lpad(to_hex({first_ms} + number * 10), 12, '0') || '7' || substr(md5(kind || number), 1, 3)
        || '8' || substr(md5(kind || number), 4, 15) AS uuid)
$id$;
"""
# The rows that each participant stores for each saga.
_KEPT = {
    "barrier": """
        INSERT INTO SERVICE.barrier (saga_id, step, direction)
        SELECT pg_temp.id_of(n, 'saga'), 'STEP', 'action' FROM generate_series(1, :count) AS numbers (n)""",
    "inbox": """
        INSERT INTO SERVICE.inbox (event_id)
        SELECT pg_temp.id_of(n, 'event') FROM generate_series(1, :count) AS numbers (n)""",
    "outbox": """
        INSERT INTO SERVICE.outbox (id, type, saga_id, payload, occurred_at, sent_at)
        SELECT pg_temp.id_of(n, 'sent'), 'order.created', pg_temp.id_of(n, 'saga'), '{{}}', now(), now()
        FROM generate_series(1, :count) AS numbers (n)""",
}
_ROWS = {
    "inventario.products": """
        INSERT INTO inventario.products (sku, name, description, category, price_minor, available, sold, seeded)
        SELECT 'many-' || number, 'Mug', '', '', 999, 10, :count / {products}, :count / {products} + 10
        FROM generate_series(0, {products} - 1) AS numbers (number)""",
    "inventario.reservations": """
        INSERT INTO inventario.reservations (saga_id, cart_id, status, expires_at)
        SELECT pg_temp.id_of(n, 'saga'), pg_temp.id_of(n, 'cart'), 'committed', now()
        FROM generate_series(1, :count) AS numbers (n)""",
    "inventario.reservation_lines": """
        INSERT INTO inventario.reservation_lines (saga_id, product_id, quantity, unit_price_minor)
        SELECT pg_temp.id_of(n, 'saga'), (SELECT min(id) FROM inventario.products) + n % {products}, 1, 999
        FROM generate_series(1, :count) AS numbers (n)""",
    "pagos.payments": """
        INSERT INTO pagos.payments (
            id, saga_id, cart_id, user_id, amount_minor, currency, payment_method, status
        )
        SELECT pg_temp.id_of(n, 'payment'), pg_temp.id_of(n, 'saga'), pg_temp.id_of(n, 'cart'), 'user ' || n % 1000,
            999, 'EUR', 'paypal', 'captured' FROM generate_series(1, :count) AS numbers (n)""",
    "pagos.ledger_transfers": """
        INSERT INTO pagos.ledger_transfers (payment_id, kind, debit_account, credit_account, amount_minor, currency)
        SELECT pg_temp.id_of(n, 'payment'), 'capture', 'clearing:paypal', 'revenue', 999, 'EUR'
        FROM generate_series(1, :count) AS numbers (n)""",
    "carrito.carts": """
        INSERT INTO carrito.carts (id, user_id, status, saga_id, idle_since)
        SELECT pg_temp.id_of(n, 'cart'), 'user ' || n % 1000, 'checked_out', pg_temp.id_of(n, 'saga'), NULL
        FROM generate_series(1, :count) AS numbers (n)""",
    "carrito.cart_items": """
        INSERT INTO carrito.cart_items (cart_id, product_id, name, quantity, unit_price_minor)
        SELECT pg_temp.id_of(n, 'cart'), (SELECT min(id) FROM inventario.products) + n % {products}, 'Mug', 1, 999
        FROM generate_series(1, :count) AS numbers (n)""",
    "carrito.orders": """
        INSERT INTO carrito.orders (id, saga_id, cart_id, user_id, items, total_minor, currency, status)
        SELECT pg_temp.id_of(n, 'order'), pg_temp.id_of(n, 'saga'), pg_temp.id_of(n, 'cart'), 'user ' || n % 1000,
            '[{{"product_id": ' || (SELECT min(id) FROM inventario.products) + n % {products}
            || ', "name": "Mug", "quantity": 1, "unit_price": 9.99}}]', 999, 'EUR', 'confirmed'
        FROM generate_series(1, :count) AS numbers (n)""",
    "carrito.checkouts": """
        INSERT INTO carrito.checkouts (
            saga_id, cart_id, user_id, saga_pattern, payment_method, billing_address, payment_id, order_id, items,
            total_minor, currency
        )
        SELECT saga_id, cart_id, user_id, CASE n % 2 WHEN 0 THEN 'orchestrated' ELSE 'choreographed' END, 'paypal',
            '{{}}', pg_temp.id_of(n, 'payment'), id, items, total_minor, currency
        FROM generate_series(1, :count) AS numbers (n) JOIN carrito.orders ON saga_id = pg_temp.id_of(n, 'saga')""",
    "saga_orchestrator.sagas": """
        INSERT INTO saga_orchestrator.sagas (
            saga_id, version, data, ids, status, state, retrying, first_effect_at, due_at, deadline_at, ended_at
        )
        SELECT saga_id, {version},
            json_build_object(
                'cart_id', cart_id, 'user_id', user_id, 'payment_method', payment_method,
                'billing_address', billing_address, 'items', CAST('[]' AS json), 'total_minor', total_minor
            ),
            json_build_object('payment_id', payment_id, 'order_id', order_id),
            CASE WHEN n > :count - 2 * {live} THEN 'running' ELSE 'completed' END,
            CAST(CASE WHEN n > :count - 2 * {live} THEN :running ELSE :completed END AS json),
            n > :count - {live}, now() - interval '50 ms',
            CASE WHEN n > :count - 2 * {live} THEN now() + interval '1 hour' END, now(), now()
        FROM generate_series(2, :count, 2) AS numbers (n)
        JOIN carrito.checkouts ON saga_id = pg_temp.id_of(n, 'saga')""",
    "saga_choreography.sagas": """
        INSERT INTO saga_choreography.sagas (
            saga_id, cart_id, user_id, payment_method, order_id, facts, retrying, first_effect_at, status, due_at,
            deadline_at, ended_at
        )
        SELECT saga_id, cart_id, user_id, payment_method, order_id, '{{}}', n > :count - {live},
            now() - interval '50 ms',
            CASE WHEN n > :count - 2 * {live} THEN 'running' ELSE 'completed' END,
            CASE WHEN n > :count - 2 * {live} THEN now() + interval '1 hour' END, now(), now()
        FROM generate_series(1, :count, 2) AS numbers (n)
        JOIN carrito.checkouts ON saga_id = pg_temp.id_of(n, 'saga')""",
    "saga_orchestrator.timeline": """
        INSERT INTO saga_orchestrator.timeline (id, saga_id, kind, step, direction, outcome, started_at, finished_at)
        SELECT pg_temp.id_of(n, 'entry'), pg_temp.id_of(n, 'saga'), 'attempt', 'create_order', 'action', 'done', now(),
            now() FROM generate_series(2, :count, 2) AS numbers (n)""",
    "saga_choreography.events": """
        INSERT INTO saga_choreography.events (id, saga_id, type, payload, occurred_at)
        SELECT pg_temp.id_of(n, 'event'), pg_temp.id_of(n, 'saga'), 'order.created', '{{}}', now()
        FROM generate_series(1, :count, 2) AS numbers (n)""",
    **{
        f"{service}.{table}": statement.replace("SERVICE", service).replace("STEP", step)
        for service, step in (
            ("carrito", "create_order"),
            ("inventario", "reserve_inventory"),
            ("pagos", "process_payment"),
        )
        for table, statement in _KEPT.items()
    },
}


def _after(commands: int) -> SagaState:
    """Return the state of a saga after so many commands."""
    state = begin(CHECKOUT)
    for _ in range(commands):
        if (command := next_command(CHECKOUT, state)) is not None:
            state = apply(CHECKOUT, started(state, command), command, Succeeded())
    return state


_STATES = {"running": dumps(state_to_json(_after(2))), "completed": dumps(state_to_json(_after(20)))}


def store(connection: Connection, count: int, *, told: bool = False) -> None:
    """Store so many checkouts, and have PostgreSQL analyze the tables, as autovacuum does later."""
    connection.execute(text(_FUNCTIONS.format(first_ms=int(time.time() * 1000) - count * 10)))
    for table, statement in _ROWS.items():
        began = time.perf_counter()
        connection.execute(
            text(statement.format(products=PRODUCTS, live=LIVE, version=CHECKOUT.version)), {"count": count, **_STATES}
        )
        connection.execute(text(f"ANALYZE {table}"))
        if told:
            sys.stderr.write(f"{table}: {time.perf_counter() - began:.1f} s\n")


def main() -> None:
    """Run the command line above."""
    engine = create_engine(sys.argv[1], isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        store(connection, int(sys.argv[2]), told=True)
        connection.execute(text("VACUUM"))


if __name__ == "__main__":
    main()

"""What carrito purges, and when. Orders and the carts of sagas are kept for good."""

from carrito.models import barrier, cart_items, carts, checkouts, fault_store, idempotency_keys, inbox, outbox
from shared.purging.purge import Purge

# A checkout's row is needed until it was handed over and its saga can make no order any more.
_LIVE = (
    "handover_due_at IS NOT NULL OR EXISTS (SELECT FROM carrito.carts"
    " WHERE carts.saga_id = checkouts.saga_id AND carts.status = 'checking_out')"
)
PURGES = (
    Purge(barrier.table.c.saga_id, "step_retention_days"),
    Purge(checkouts.c.saga_id, "step_retention_days", unless=_LIVE),
    Purge(inbox.table.c.event_id, "step_retention_days"),
    Purge(outbox.table.c.id, "saga_retention_days", since=outbox.table.c.sent_at),
    Purge(fault_store.firings.c.saga_id, "saga_retention_days"),
    Purge(idempotency_keys.c.created_at, "key_retention_days"),
    Purge(carts.c.idle_since, "cart_retention_days", parts=(cart_items.c.cart_id,)),
)

"""What pagos purges, and when. Payments, wallets and the ledger are kept for good."""

from pagos.models import barrier, fault_store, idempotency_keys, inbox, outbox
from shared.purging.purge import Purge

PURGES = (
    Purge(barrier.table.c.saga_id, "step_retention_days"),
    Purge(inbox.table.c.event_id, "step_retention_days"),
    Purge(outbox.table.c.id, "saga_retention_days", since=outbox.table.c.sent_at),
    Purge(fault_store.firings.c.saga_id, "saga_retention_days"),
    Purge(idempotency_keys.c.created_at, "key_retention_days"),
)

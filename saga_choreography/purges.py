"""What saga_choreography purges: ended sagas, with their events, notes and redrives, and its sent events."""

from saga_choreography.models import events, notes, outbox, redrives, sagas
from shared.purging.purge import Purge

PURGES = (
    Purge(sagas.c.saga_id, "saga_retention_days", since=sagas.c.ended_at, parts=(events.c.saga_id, notes.c.saga_id)),
    Purge(outbox.table.c.id, "saga_retention_days", since=outbox.table.c.sent_at),
    Purge(redrives.c.id, "saga_retention_days"),
)

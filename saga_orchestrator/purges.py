"""What the orchestrator forgets, and when: ended sagas, with all that happened to them."""

from saga_orchestrator.models import sagas, timeline
from shared.purging.purge import Purge

PURGES = (Purge(sagas.c.saga_id, "saga_retention_days", since=sagas.c.ended_at, parts=(timeline.c.saga_id,)),)

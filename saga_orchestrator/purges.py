"""What the orchestrator purges: ended sagas, with their timelines."""

from saga_orchestrator.models import sagas, timeline
from shared.purging.purge import Purge

PURGES = (Purge(sagas.c.saga_id, "saga_retention_days", since=sagas.c.ended_at, parts=(timeline.c.saga_id,)),)

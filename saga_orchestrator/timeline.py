"""The timeline of an orchestrated saga, as people see it."""

from collections.abc import Sequence

from saga_orchestrator.orchestrator import CHECKOUT
from saga_orchestrator.participants import Endpoint
from shared.db import Row
from shared.saga.timeline import with_undone
from shared.saga_views import TimelineEntryOut

# Steps that an older version had are in none.
_SERVICES = {step.name: step.do.service for step in CHECKOUT.tasks if isinstance(step.do, Endpoint)}


def timeline_out(rows: Sequence[Row]) -> list[TimelineEntryOut]:
    """Its entries, in the order of the rows."""
    return with_undone([TimelineEntryOut(**dict(row), service=_SERVICES.get(row["step"])) for row in rows])

"""The timeline of an orchestrated saga, as people see it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from saga_orchestrator.domain import Checkout
from saga_orchestrator.engine import Direction
from saga_orchestrator.orchestrator import CHECKOUT
from saga_orchestrator.participants import Endpoint
from saga_orchestrator.records import checkout_from_row
from shared.db import Row
from shared.json_codec import loads
from shared.saga.timeline import with_undone
from shared.saga_views import RequestOut, ResponseOut, TimelineEntryOut

# Steps that an older version had are in none.
_ENDPOINTS: dict[tuple[str, str], Any] = {
    (step.name, direction): ask
    for step in CHECKOUT.tasks
    for direction, ask in ((Direction.ACTION.value, step.do), (Direction.COMPENSATION.value, step.undo))
    if isinstance(ask, Endpoint)
}
NOT_SHOWN = "(not shown)"  # who looks at a saga need not know where somebody lives


def timeline_out(saga: Row, rows: Sequence[Row]) -> list[TimelineEntryOut]:
    """Its entries, in the order of the rows."""
    checkout = replace(checkout_from_row(saga), billing_address=NOT_SHOWN)
    return with_undone([_entry_out(checkout, row) for row in rows])


def _entry_out(checkout: Checkout, row: Row) -> TimelineEntryOut:
    endpoint = _ENDPOINTS.get((row["step"], row["direction"]))
    return TimelineEntryOut(
        **{name: value for name, value in row.items() if name != "answer"},
        service=None if endpoint is None else endpoint.service,
        request=None if endpoint is None else _request_out(endpoint, checkout),
        response=_response_out(row) if row["kind"] == "attempt" else None,
    )


def _request_out(endpoint: Endpoint, checkout: Checkout) -> RequestOut:
    """What the endpoint is asked for this checkout: the same every time."""
    request = endpoint(checkout)
    return RequestOut(method=request.method, path=request.path, body=dict(request.body or {}))


def _response_out(row: Row) -> ResponseOut:
    body = None if row["answer"] is None else loads(row["answer"])
    return ResponseOut(status=row["status_code"], body=body, error=row["detail"])

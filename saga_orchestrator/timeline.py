"""Makes the timeline of an orchestrated saga as people see it."""

from collections.abc import Sequence
from dataclasses import replace

from saga_orchestrator.domain import Checkout
from saga_orchestrator.orchestrator import VERSIONS, CheckoutSaga
from saga_orchestrator.runtime.definition import Endpoint, SagaDefinition
from saga_orchestrator.runtime.serialization import instance_from_row
from saga_orchestrator.saga_store import SagaHistory, TimelineEntry
from shared.fault_switches.header import faults_of
from shared.fault_switches.model import BEFORE
from shared.json_codec import loads
from shared.saga.states import Direction
from shared.saga.timeline import with_undone
from shared.saga.timeline_views import RequestOut, ResponseOut, TimelineEntryOut

NOT_SHOWN = "(not shown)"  # replaces the address, which people who look at sagas need not know


def timeline_out(history: SagaHistory) -> list[TimelineEntryOut]:
    """Return the entries, in the stored order."""
    definition = VERSIONS[history.saga.version]
    checkout = instance_from_row(definition, vars(history.saga))
    checkout = replace(checkout, data=replace(checkout.data, billing_address=NOT_SHOWN))
    return with_undone(with_untold([_entry_out(definition, checkout, entry) for entry in history.entries]))


def _entry_out(definition: SagaDefinition[Checkout], checkout: CheckoutSaga, entry: TimelineEntry) -> TimelineEntryOut:
    endpoint = _endpoint(definition, entry.step, entry.direction)
    return TimelineEntryOut(
        **{name: value for name, value in vars(entry).items() if name != "answer"},
        service=None if endpoint is None else endpoint.service.name,
        request=None if endpoint is None else _request_out(endpoint, checkout),
        response=_response_out(entry) if entry.kind == "attempt" else None,
    )


def _endpoint(
    definition: SagaDefinition[Checkout], step: str | None, direction: str | None
) -> Endpoint[Checkout] | None:
    if step is None:
        return None
    return definition[step].action if direction == Direction.ACTION else definition[step].compensation


def _request_out(endpoint: Endpoint[Checkout], checkout: CheckoutSaga) -> RequestOut:
    """Make the request to this endpoint; it is the same at every attempt."""
    request = endpoint.request(checkout)
    return RequestOut(method=request.method, path=request.path, body=dict(request.body or {}))


def _response_out(entry: TimelineEntry) -> ResponseOut:
    body = None if entry.answer is None else loads(entry.answer)
    return ResponseOut(status=entry.status_code, body=body, error=entry.detail)


def with_untold(entries: Sequence[TimelineEntryOut]) -> list[TimelineEntryOut]:
    """Add faults that no answer reported to the first requests without an answer.

    A later answer for the same step reports the earlier faults, with their numbers.
    """
    left = _untold(entries)
    return [_with_one_of(left, entry) if _has_no_answer(entry) else entry for entry in entries]


def _has_no_answer(entry: TimelineEntryOut) -> bool:
    return entry.direction == "action" and entry.outcome == "unknown" and entry.status_code is None


def _with_one_of(left: dict[tuple[str | None, str], int], entry: TimelineEntryOut) -> TimelineEntryOut:
    name = next((name for (step, name), count in left.items() if step == entry.step and count > 0), None)
    if name is None:
        return entry
    left[entry.step, name] -= 1
    return entry.model_copy(update={"fault": name})


def _untold(entries: Sequence[TimelineEntryOut]) -> dict[tuple[str | None, str], int]:
    """Return by step and fault name how often a fault happened that no entry reports yet."""
    told: dict[tuple[str | None, str], int] = {}
    for entry in entries:
        body = (entry.response and entry.response.body) or {}
        told |= {(fault.step, fault.name.value): fault.times or 0 for fault in faults_of(str(body.get(BEFORE, "")))}
    for entry in entries:
        for name in (entry.fault or "").split(", "):
            if (entry.step, name) in told:
                told[entry.step, name] -= 1
    return told

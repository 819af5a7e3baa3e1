"""Between what is said over HTTP and what the choreography keeps."""

from collections.abc import Sequence
from uuid import UUID

from saga_choreography.choreography import CHECKOUT
from saga_choreography.definition import Fact
from saga_choreography.domain import Checkout
from saga_choreography.projection import bill_of, error_of, steps_of
from shared.db import Row
from shared.event_bus import CONTRACT, Backward
from shared.money import to_decimal
from shared.saga_views import CheckoutIn, SagaOut, StepOut, TimelineEntryOut


def checkout_of(body: CheckoutIn, saga_id: UUID) -> Checkout:
    """What is asked for in the domain's words."""
    return Checkout(saga_id, body.cart_id, body.user_id, body.payment_method)


def saga_out(row: Row) -> SagaOut:
    """The view of a saga's row."""
    facts = row["facts"]
    bill = bill_of(facts)
    steps = [StepOut.model_validate(step) for step in steps_of(CHECKOUT, facts)]
    asked = {step.name for step in steps if step.attempts > 0}
    return SagaOut(
        **{name: row[name] for name in ("saga_id", "status", "cart_id", "user_id", "payment_method")},
        **{name: row[name] for name in ("created_at", "updated_at", "ended_at")},
        saga_pattern="choreographed",
        total=None if bill["total_minor"] is None else to_decimal(bill["total_minor"]),
        order_id=bill["order_id"] if "create_order" in asked else None,
        payment_id=bill["payment_id"] if "process_payment" in asked else None,
        error=error_of(CHECKOUT, facts),
        steps=steps,
    )


def timeline_out(events: Sequence[Row], notes: Sequence[Row]) -> list[TimelineEntryOut]:
    """Events and what was done about the saga, in order."""
    entries = [(row["occurred_at"], row["id"], _event_out(row)) for row in events]
    entries += [(row["at"], row["id"], _note_out(row)) for row in notes]
    return [entry for _, __, entry in sorted(entries, key=lambda each: each[:2])]


def _event_out(row: Row) -> TimelineEntryOut:
    entry = CONTRACT[row["type"]]
    payload = entry.payload.model_validate_json(row["payload"])
    step, direction, outcome = _ABOUT.get(entry.payload, (None, None, None))
    return TimelineEntryOut(
        kind="event",
        step=step,
        direction=direction,
        attempt=None,
        outcome=outcome,
        started_at=row["occurred_at"],
        finished_at=row["occurred_at"],
        detail=payload.reason if isinstance(payload, Backward) else None,
        executor=None,
        event_id=row["id"],
        event=row["type"],
        publisher=entry.publisher,
        cause=row["cause"],
        received_at=row["received_at"],
        by=getattr(payload, "by", None),
    )


def _note_out(row: Row) -> TimelineEntryOut:
    return TimelineEntryOut(
        kind=row["kind"],
        step=None,
        direction=None,
        attempt=None,
        outcome=None,
        started_at=row["at"],
        finished_at=row["at"],
        detail=row["detail"],
        executor=None,
        by=row["by"],
    )


def _about() -> dict[Fact, tuple[str, str, str | None]]:
    """What each event says of which step; of a refused commit and of a sale undone, that it was refused."""
    about: dict[Fact, tuple[str, str, str | None]] = {}
    for step in CHECKOUT.steps:
        about[step.undone] = (step.name, "compensation", "succeeded")
        about[step.begins] = (step.name, "action", None)
        about[step.ends] = (step.name, "action", "succeeded")
        about[step.fails] = (step.name, "action", "refused")
    return about


_ABOUT = _about()

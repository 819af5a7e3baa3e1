"""What a request finds at the barrier: it is the first, it was done before, or it is refused."""

from collections.abc import Collection, Mapping
from enum import Enum
from uuid import UUID

from shared.errors import Conflict, DomainError, RepeatedRefusal
from shared.purging.retention import TooOld
from shared.saga.barrier_store import ACTION, COMPENSATION, RecordedStep


class Suspended(Conflict):
    """The step was already compensated."""


class ActionEntry(Enum):
    """What `enter_action` finds for an action that is not refused."""

    FIRST = "it was never requested before"
    REPEATED = "it was done before"


class CompensationEntry(Enum):
    """What `enter_compensation` finds for a compensation that is not refused."""

    FIRST = "the action ran, or was refused, and was not compensated yet"
    NULL = "the action never came; from now on it is refused"
    REPEATED = "it was compensated before"


# The directions of the rows that `enter_compensation` writes, by what it finds.
WRITTEN: Mapping[CompensationEntry, tuple[str, ...]] = {
    CompensationEntry.FIRST: (COMPENSATION,),
    CompensationEntry.NULL: (ACTION, COMPENSATION),
    CompensationEntry.REPEATED: (),
}


def check_known(step: str, not_written: Collection[UUID], known: Collection[UUID]) -> None:
    """Raise `TooOld` if, of the sagas for which no row was written, some have no earlier row either."""
    too_old = sorted(set(not_written) - set(known))
    if too_old:
        named = ", ".join(map(str, too_old))
        raise TooOld(f"too old to tell whether {step} came before: saga {named}", step=step, saga_ids=too_old)


def action_entry(known: RecordedStep) -> ActionEntry | DomainError:
    """What an action finds whose step was requested before, or its refusal."""
    if known.compensated:
        return Suspended(
            f"{known.step} of saga {known.saga_id} was compensated", saga_id=known.saga_id, step=known.step
        )
    return known.contradiction or (ActionEntry.REPEATED if known.refusal is None else RepeatedRefusal(known.refusal))


def compensation_entry(written: set[str]) -> CompensationEntry:
    """What a compensation finds, by the directions of the rows that it wrote."""
    if COMPENSATION not in written:
        return CompensationEntry.REPEATED
    return CompensationEntry.NULL if ACTION in written else CompensationEntry.FIRST

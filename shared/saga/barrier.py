"""The barrier: each step of a saga acts once and is compensated once, whatever is repeated, late or out of order.

A row for each (saga, step, direction), written in the transaction of the effect with `ON CONFLICT DO NOTHING`,
absorbs duplicates, compensations that come before their action (null rollback) and actions that come after
their compensation (suspension). The idea and the two terms are those of the sub-transaction barrier of DTM.

Rows are purged by the age of their saga. For a saga so old that its rows may be gone, no row is written, and what is
not known already is refused (`TooOld`): nothing late is taken for a first request.

A row keeps the fields of its request. A repetition that names another value for one of them is refused, and leaves no
trace. A field that one of the two does not name is not compared.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from sqlalchemy import Connection, MetaData

from shared.errors import Conflict, DomainError, RepeatedRefusal
from shared.purging.retention import TooOld
from shared.saga.barrier_store import ACTION, COMPENSATION, BarrierStore, Known
from shared.saga.repetition import NamedFields


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


_WRITTEN: Mapping[CompensationEntry, tuple[str, ...]] = {
    CompensationEntry.FIRST: (COMPENSATION,),
    CompensationEntry.NULL: (ACTION, COMPENSATION),
    CompensationEntry.REPEATED: (),
}


class StepCommand(Protocol):
    """A request for a step, or for its compensation."""

    @property
    def saga_id(self) -> UUID:
        """The saga that requests it."""

    @property
    def named(self) -> NamedFields:
        """The fields that a repetition must agree in."""


CommandT = TypeVar("CommandT", bound=StepCommand)
T = TypeVar("T")
Result_co = TypeVar("Result_co", covariant=True)
BySaga = Mapping[UUID, T | DomainError]  # a value or a refusal for each saga


@dataclass(frozen=True)
class Done(Generic[Result_co]):
    """A step or a compensation that took effect, its result, and whether it took effect just now."""

    value: Result_co
    first: bool


class Barrier:
    """The barrier of one participant. Its methods take many sagas at once, each saga once."""

    def __init__(self, metadata: MetaData) -> None:
        self._store = BarrierStore(metadata)
        self.table = self._store.table
        self.closed = self._store.closed
        self.refuse = self._store.refuse

    def once(
        self,
        connection: Connection,
        step: str,
        commands: Sequence[CommandT],
        *,
        first: Callable[[Sequence[CommandT]], BySaga[T]],
        repeated: Callable[[Sequence[CommandT]], BySaga[T]],
    ) -> list[Done[T] | DomainError]:
        """Do a step once for each command's saga; the outcomes, in the order of the commands.

        `first` does it for commands that are new, and what it refuses is kept, to be refused alike for ever.
        `repeated` finds what was done before; it is called before `first`. Neither is called without commands.
        Refusals: those of `first`, `repeated` and `enter_action`.
        """
        entries = self.enter_action(connection, step, {each.saga_id: each.named for each in commands})
        new, known = (
            [each for each in commands if entries[each.saga_id] is entry]
            for entry in (ActionEntry.FIRST, ActionEntry.REPEATED)
        )
        found = repeated(known) if known else {}
        made = first(new) if new else {}
        self.refuse(connection, step, _refusals(made))
        results = {**_refusals(entries), **_done(found, first=False), **_done(made, first=True)}
        return [results[each.saga_id] for each in commands]

    def compensate(
        self,
        connection: Connection,
        step: str,
        commands: Sequence[CommandT],
        undo: Callable[[Sequence[CommandT], Sequence[CommandT]], BySaga[T]],
    ) -> list[Done[T] | DomainError]:
        """Compensate a step once for each command's saga; the outcomes, in the order of the commands.

        From then on the step's action is refused. `undo` is called with the commands whose action ran or was refused,
        which it is to compensate, and with those for which there is nothing to do: the action never came, or was
        compensated before. What it refuses leaves no trace. Refusals: those of `undo` and `enter_compensation`.
        """
        entries = self.enter_compensation(connection, step, {each.saga_id: each.named for each in commands})
        accepted = [each for each in commands if isinstance(entries[each.saga_id], CompensationEntry)]
        first = [each for each in accepted if entries[each.saga_id] is CompensationEntry.FIRST]
        others = [each for each in accepted if entries[each.saga_id] is not CompensationEntry.FIRST]
        undone = undo(first, others) if accepted else {}
        self._withdraw(connection, step, {saga_id: entries[saga_id] for saga_id in _refusals(undone)})
        results: dict[UUID, Done[T] | DomainError] = {**_refusals(entries)}
        for saga_id, each in undone.items():
            is_first = entries[saga_id] is not CompensationEntry.REPEATED
            results[saga_id] = each if isinstance(each, DomainError) else Done(each, is_first)
        return [results[each.saga_id] for each in commands]

    def enter_action(
        self, connection: Connection, step: str, requests: Mapping[UUID, NamedFields]
    ) -> dict[UUID, ActionEntry | DomainError]:
        """For each saga whether the step is requested for the first time; a duplicate waits for the first to end.

        `Suspended` when the step was compensated, `RepeatedOtherwise` for a request that differs from the first, and
        the refusal that the first got, if it got one. Raises `TooOld`.
        """
        rows = {(saga_id, ACTION): request for saga_id, request in requests.items()}
        first = self._store.insert(connection, step, rows)
        before = {saga_id: request for saga_id, request in requests.items() if saga_id not in first}
        found = self._store.find(connection, step, before)
        _check_known(step, before, found)
        return {
            saga_id: ActionEntry.FIRST if saga_id in first else _action_entry(found[saga_id]) for saga_id in requests
        }

    def enter_compensation(
        self, connection: Connection, step: str, requests: Mapping[UUID, NamedFields]
    ) -> dict[UUID, CompensationEntry | DomainError]:
        """For each saga what there is to compensate; from then on the step's action is refused. Raises `TooOld`.

        `RepeatedOtherwise`, without a trace, for a compensation that differs from the action or from an earlier one.
        """
        rows: dict[tuple[UUID, str], NamedFields | None] = {}
        for saga_id, request in requests.items():
            rows |= {(saga_id, ACTION): None, (saga_id, COMPENSATION): request}
        inserted = self._store.insert(connection, step, rows)
        entries: dict[UUID, CompensationEntry | DomainError] = {
            saga_id: _compensation_entry(inserted.get(saga_id, set())) for saga_id in requests
        }
        repeated = [saga_id for saga_id, entry in entries.items() if entry is CompensationEntry.REPEATED]
        first = [saga_id for saga_id, entry in entries.items() if entry is CompensationEntry.FIRST]
        naming = [saga_id for saga_id in first if any(requests[saga_id].values())]
        found = self._store.find(connection, step, {saga_id: requests[saga_id] for saga_id in (*repeated, *naming)})
        _check_known(step, repeated, {saga_id for saga_id, known in found.items() if known.compensated})
        wrong = {saga_id: known.contradiction for saga_id, known in found.items() if known.contradiction is not None}
        self._withdraw(connection, step, {saga_id: entries[saga_id] for saga_id in wrong})
        return entries | wrong

    def contradictions(
        self, connection: Connection, step: str, requests: Mapping[UUID, NamedFields]
    ) -> dict[UUID, DomainError]:
        """`RepeatedOtherwise` for each saga whose step, or its compensation, was requested with another field."""
        found = self._store.find(connection, step, requests)
        return {saga_id: known.contradiction for saga_id, known in found.items() if known.contradiction is not None}

    def _withdraw(
        self, connection: Connection, step: str, entries: Mapping[UUID, CompensationEntry | DomainError]
    ) -> None:
        """Delete what `enter_compensation` wrote in this transaction, for compensations that are refused."""
        written = [
            (saga_id, direction)
            for saga_id, entry in entries.items()
            if isinstance(entry, CompensationEntry)
            for direction in _WRITTEN[entry]
        ]
        self._store.delete(connection, step, written)


def _check_known(step: str, not_written: Collection[UUID], known: Collection[UUID]) -> None:
    """What was not written was there before, unless its saga is too old."""
    too_old = sorted(set(not_written) - set(known))
    if too_old:
        named = ", ".join(map(str, too_old))
        raise TooOld(f"too old to tell whether {step} came before: saga {named}", step=step, saga_ids=too_old)


def _action_entry(known: Known) -> ActionEntry | DomainError:
    if known.compensated:
        return Suspended(
            f"{known.step} of saga {known.saga_id} was compensated", saga_id=known.saga_id, step=known.step
        )
    return known.contradiction or (ActionEntry.REPEATED if known.refusal is None else RepeatedRefusal(known.refusal))


def _compensation_entry(written: set[str]) -> CompensationEntry:
    if COMPENSATION not in written:
        return CompensationEntry.REPEATED
    return CompensationEntry.NULL if ACTION in written else CompensationEntry.FIRST


def _refusals(outcomes: Mapping[UUID, T | DomainError]) -> dict[UUID, DomainError]:
    return {saga_id: each for saga_id, each in outcomes.items() if isinstance(each, DomainError)}


def _done(outcomes: BySaga[T], *, first: bool) -> dict[UUID, Done[T] | DomainError]:
    return {saga_id: each if isinstance(each, DomainError) else Done(each, first) for saga_id, each in outcomes.items()}

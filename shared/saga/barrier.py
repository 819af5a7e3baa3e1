"""The barrier: each step of a saga acts once and is compensated once, whatever is repeated, late or out of order.

The transaction of an effect inserts a row for its (saga, step, direction) with `ON CONFLICT DO NOTHING`. So the barrier
absorbs duplicates, compensations that come before their action (null compensation), and actions that come after their
compensation (suspension). The idea is that of the sub-transaction barrier of DTM.

Rows are purged by the age of their saga. For a saga so old that its rows may be gone, no row is inserted, and a request
without an earlier row is refused (`TooOld`), since it may be a late repetition.

A row keeps the fields of its request. A repetition with another value for a field is refused, and changes nothing. A
field that is missing in either request is not compared.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar
from uuid import UUID

import structlog
from sqlalchemy import Connection, MetaData

from shared.errors import DomainError
from shared.saga.barrier_entries import (
    WRITTEN,
    ActionEntry,
    CompensationEntry,
    action_entry,
    check_known,
    compensation_entry,
)
from shared.saga.barrier_store import ACTION, COMPENSATION, BarrierStore
from shared.saga.repetition import NamedFields


class StepCommand(Protocol):
    """A request to do a step or to compensate it."""

    @property
    def saga_id(self) -> UUID:
        """The saga that requests it."""

    @property
    def named(self) -> NamedFields:
        """The fields in which a repeated request must be the same."""


CommandT = TypeVar("CommandT", bound=StepCommand)
T = TypeVar("T")
Result_co = TypeVar("Result_co", covariant=True)
log = structlog.get_logger()
BySaga = Mapping[UUID, T | DomainError]  # a value or a refusal for each saga


@dataclass(frozen=True)
class Done(Generic[Result_co]):
    """The result of a step or a compensation, and whether this call did it (`first`) or an earlier one."""

    value: Result_co
    first: bool


class Barrier:
    """The barrier of one participant. Its methods take many sagas at once, each saga once."""

    def __init__(self, metadata: MetaData) -> None:
        self._store = BarrierStore(metadata)
        self.table = self._store.table

    def once(
        self,
        connection: Connection,
        step: str,
        commands: Sequence[CommandT],
        *,
        first: Callable[[Sequence[CommandT]], BySaga[T]],
        repeated: Callable[[Sequence[CommandT]], BySaga[T]],
    ) -> list[Done[T] | DomainError]:
        """Do a step once for the saga of each command; return the outcomes in the order of the commands.

        `first` does the step for commands that are new; its refusals are stored, and repeated requests get them again.
        `repeated` finds the result of commands that were done before; it is called before `first`. Neither is called
        without commands. Refusals: those of `first`, `repeated` and `enter_action`.
        """
        entries = self.enter_action(connection, step, {each.saga_id: each.named for each in commands})
        new, known = (
            [each for each in commands if entries[each.saga_id] is entry]
            for entry in (ActionEntry.FIRST, ActionEntry.REPEATED)
        )
        _log_repeated(step, ACTION, len(commands) - len(new))
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
        """Compensate a step once for the saga of each command; return the outcomes in the order of the commands.

        From then on the step's action is refused. `undo` gets the commands whose action ran or was refused, which it
        compensates, and the commands with nothing to compensate: their action never came, or was compensated before.
        A command that `undo` refuses changes nothing. Refusals: those of `undo` and `enter_compensation`.
        """
        entries = self.enter_compensation(connection, step, {each.saga_id: each.named for each in commands})
        accepted = [each for each in commands if isinstance(entries[each.saga_id], CompensationEntry)]
        first = [each for each in accepted if entries[each.saga_id] is CompensationEntry.FIRST]
        others = [each for each in accepted if entries[each.saga_id] is not CompensationEntry.FIRST]
        _log_repeated(step, COMPENSATION, list(entries.values()).count(CompensationEntry.REPEATED))
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
        """Return for each saga whether its step is new or was done before; a duplicate waits until the first has ended.

        Refusals: `Suspended` when the step was compensated, `RepeatedOtherwise` for a request that differs from the
        first, and the refusal that the first got, if it got one. Raises `TooOld`.
        """
        rows = {(saga_id, ACTION): request for saga_id, request in requests.items()}
        first = self._store.insert(connection, step, rows)
        before = {saga_id: request for saga_id, request in requests.items() if saga_id not in first}
        found = self._store.find(connection, step, before)
        check_known(step, before, found)
        return {
            saga_id: ActionEntry.FIRST if saga_id in first else action_entry(found[saga_id]) for saga_id in requests
        }

    def enter_compensation(
        self, connection: Connection, step: str, requests: Mapping[UUID, NamedFields]
    ) -> dict[UUID, CompensationEntry | DomainError]:
        """Return for each saga what there is to compensate; from then on the step's action is refused.

        Refusal, which changes nothing: `RepeatedOtherwise` for a compensation that differs from the action or from an
        earlier compensation. Raises `TooOld`.
        """
        rows: dict[tuple[UUID, str], NamedFields | None] = {}
        for saga_id, request in requests.items():
            rows |= {(saga_id, ACTION): None, (saga_id, COMPENSATION): request}
        inserted = self._store.insert(connection, step, rows)
        entries: dict[UUID, CompensationEntry | DomainError] = {
            saga_id: compensation_entry(inserted.get(saga_id, set())) for saga_id in requests
        }
        repeated = [saga_id for saga_id, entry in entries.items() if entry is CompensationEntry.REPEATED]
        first = [saga_id for saga_id, entry in entries.items() if entry is CompensationEntry.FIRST]
        naming = [saga_id for saga_id in first if any(requests[saga_id].values())]
        found = self._store.find(connection, step, {saga_id: requests[saga_id] for saga_id in (*repeated, *naming)})
        check_known(step, repeated, {saga_id for saga_id, known in found.items() if known.compensated})
        wrong = {saga_id: known.contradiction for saga_id, known in found.items() if known.contradiction is not None}
        self._withdraw(connection, step, {saga_id: entries[saga_id] for saga_id in wrong})
        return entries | wrong

    def closed(self, connection: Connection, step: str, saga_id: UUID) -> bool:
        """Whether the saga's step was compensated or refused."""
        return self._store.closed(connection, step, saga_id)

    def refuse(self, connection: Connection, step: str, refusals: Mapping[UUID, DomainError]) -> None:
        """Store these refusals of actions by saga, so that repeated requests get them again."""
        self._store.refuse(connection, step, refusals)

    def contradictions(
        self, connection: Connection, step: str, requests: Mapping[UUID, NamedFields]
    ) -> dict[UUID, DomainError]:
        """Return `RepeatedOtherwise` for each saga whose step or compensation was requested with another value."""
        found = self._store.find(connection, step, requests)
        return {saga_id: known.contradiction for saga_id, known in found.items() if known.contradiction is not None}

    def _withdraw(
        self, connection: Connection, step: str, entries: Mapping[UUID, CompensationEntry | DomainError]
    ) -> None:
        """Delete the rows that `enter_compensation` inserted in this transaction for compensations that are refused."""
        written = [
            (saga_id, direction)
            for saga_id, entry in entries.items()
            if isinstance(entry, CompensationEntry)
            for direction in WRITTEN[entry]
        ]
        self._store.delete(connection, step, written)


def _log_repeated(step: str, direction: str, sagas: int) -> None:
    if sagas:
        log.debug("repeated commands", step=step, direction=direction, sagas=sagas)


def _refusals(outcomes: Mapping[UUID, T | DomainError]) -> dict[UUID, DomainError]:
    return {saga_id: each for saga_id, each in outcomes.items() if isinstance(each, DomainError)}


def _done(outcomes: BySaga[T], *, first: bool) -> dict[UUID, Done[T] | DomainError]:
    return {saga_id: each if isinstance(each, DomainError) else Done(each, first) for saga_id, each in outcomes.items()}

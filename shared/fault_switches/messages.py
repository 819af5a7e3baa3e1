"""Faults of a worker: of the steps that events request, of events on their way, and of its consumer."""

from collections.abc import Iterable, Sequence

import structlog

from shared.database.connections import Database
from shared.event_bus import Event
from shared.fault_switches.header import faults_of
from shared.fault_switches.injector import Injected, Injector
from shared.fault_switches.model import OF_MESSAGES, FaultName, direction_of
from shared.fault_switches.steps import EVENTS, TELLS, Half, StepRequest
from shared.fault_switches.store import FaultKey, FaultStore
from shared.saga.states import Direction

log = structlog.get_logger()


class MessageFaults:
    """The faults of one service's worker; call it in the app's context."""

    def __init__(self, db: Database, store: FaultStore) -> None:
        self._db = db
        self._store = store
        self._injector = Injector(db, store)

    def paused(self) -> bool:
        """Whether the consumer is paused."""
        with self._db.transaction() as connection:
            return any(fault.name is FaultName.PAUSE_CONSUMER for fault in self._store.switched_on(connection))

    def of_steps(self, events: Iterable[Event]) -> list[Injected]:
        """Decide the faults of the steps that these events request."""
        return self._planned(list(events), of_messages=False)

    def on_the_way(self, events: Sequence[Event]) -> list[Injected]:
        """Decide the faults of these events, which are about to be published."""
        return self._planned(events, of_messages=True)

    def were_paused(self, events: Sequence[Event]) -> None:
        """Count the pause as a fault of the steps whose events waited for the paused consumer."""
        keys = [
            (event.saga_id, step, FaultName.PAUSE_CONSUMER.value)
            for event in events
            if (half := EVENTS.get(event.event_type.name)) is not None and half.direction is Direction.ACTION
            for step in half.steps
        ]
        if keys:
            with self._db.transaction() as connection:
                self._store.count(connection, dict.fromkeys(keys))

    def marks(self, events: Sequence[Event]) -> list[str | None]:
        """Return the faults that happened to each event, or to the step that it reports; None for none."""
        with self._db.transaction() as connection:
            counted = self._store.counted(connection, {event.saga_id for event in events})
        return [_marks(event, counted) for event in events]

    def _planned(self, events: Sequence[Event], *, of_messages: bool) -> list[Injected]:
        planned = self._injector.plan([_request(event) for event in events], of_messages=of_messages)
        for event, each in zip(events, planned, strict=True):
            if each.faults:
                log.warning("injected", faults=each.names, type=event.event_type.name)
        return planned


def _marks(event: Event, counted: Iterable[FaultKey]) -> str | None:
    names = [
        name
        for saga_id, step, name in sorted(counted)
        if saga_id == event.saga_id
        and _is_of(step, (EVENTS if name in OF_MESSAGES else TELLS).get(event.event_type.name), name)
    ]
    return ", ".join(dict.fromkeys(names)) or None


def _is_of(step: str, half: Half | None, name: str) -> bool:
    """Whether faults with this name happen to this half of the step."""
    return half is not None and step in half.steps and direction_of(FaultName(name)) is half.direction


def _request(event: Event) -> StepRequest | None:
    half = EVENTS.get(event.event_type.name)
    return None if half is None else StepRequest(event.saga_id, half, vars(event.payload), faults_of(event.fault))

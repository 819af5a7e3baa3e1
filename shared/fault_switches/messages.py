"""Faults of a worker: of the steps that events ask for, of events on their way, and of its consumer as a whole."""

from collections.abc import Iterable, Sequence

import structlog

from shared.database.connections import Database
from shared.event_bus import Event
from shared.fault_switches.header import faults_of
from shared.fault_switches.injector import Injected, Injector
from shared.fault_switches.model import OF_MESSAGES, Direction, FaultName, direction_of
from shared.fault_switches.steps import EVENTS, TELLS, Half, StepRequest
from shared.fault_switches.store import FaultStore, Key

log = structlog.get_logger()


class MessageFaults:
    """One service's faults, as its worker suffers them; call it in the app's context."""

    def __init__(self, db: Database, store: FaultStore) -> None:
        self._db = db
        self._store = store
        self._injector = Injector(db, store)

    def paused(self) -> bool:
        """Whether no message is to be consumed."""
        with self._db.transaction() as connection:
            return any(fault.name is FaultName.PAUSE_CONSUMER for fault in self._store.switched_on(connection))

    def of_steps(self, events: Iterable[Event]) -> list[Injected]:
        """What happens to the steps that these events ask for."""
        return self._planned(list(events), of_messages=False)

    def on_the_way(self, events: Sequence[Event]) -> list[Injected]:
        """What happens to these events themselves, which are about to be published."""
        return self._planned(events, of_messages=True)

    def were_paused(self, events: Sequence[Event]) -> None:
        """Count for the steps that these events ask for that they had to wait for a consumer that was paused."""
        keys = [
            (event.saga_id, step, FaultName.PAUSE_CONSUMER.value)
            for event in events
            if (half := EVENTS.get(event.entry.name)) is not None and half.direction is Direction.ACTION
            for step in half.steps
        ]
        if keys:
            with self._db.transaction() as connection:
                self._store.count(connection, dict.fromkeys(keys))

    def marks(self, events: Sequence[Event]) -> list[str | None]:
        """Of each event, what happened on purpose to what it tells of and to itself; None for nothing."""
        with self._db.transaction() as connection:
            counted = self._store.counted(connection, {event.saga_id for event in events})
        return [_marks(event, counted) for event in events]

    def _planned(self, events: Sequence[Event], *, of_messages: bool) -> list[Injected]:
        planned = self._injector.plan([_request(event) for event in events], of_messages=of_messages)
        for event, each in zip(events, planned, strict=True):
            if each.faults:
                log.warning("injected", faults=each.names, type=event.entry.name)
        return planned


def _marks(event: Event, counted: Iterable[Key]) -> str | None:
    names = [
        name
        for saga_id, step, name in sorted(counted)
        if saga_id == event.saga_id
        and _is_of(step, (EVENTS if name in OF_MESSAGES else TELLS).get(event.entry.name), name)
    ]
    return ", ".join(dict.fromkeys(names)) or None


def _is_of(step: str, half: Half | None, name: str) -> bool:
    """Whether it is this half of the step that a fault with this name happens to."""
    return half is not None and step in half.steps and direction_of(FaultName(name)) is half.direction


def _request(event: Event) -> StepRequest | None:
    half = EVENTS.get(event.entry.name)
    return None if half is None else StepRequest(event.saga_id, half, vars(event.payload), faults_of(event.fault))

"""Faults of a worker: of the steps that events ask for, of events on their way, and of its consumer as a whole."""

from collections.abc import Iterable, Sequence

import structlog

from shared.db import Database
from shared.event_bus import Event
from shared.fault_switches.header import faults_of
from shared.fault_switches.injector import Injected, Injector
from shared.fault_switches.model import FaultName
from shared.fault_switches.steps import EVENTS, StepRequest
from shared.fault_switches.store import FaultStore

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

    def _planned(self, events: Sequence[Event], *, of_messages: bool) -> list[Injected]:
        planned = self._injector.plan([_request(event) for event in events], of_messages=of_messages)
        for event, each in zip(events, planned, strict=True):
            if each.faults:
                log.warning("injected", faults=each.names, type=event.entry.name)
        return planned


def _request(event: Event) -> StepRequest | None:
    half = EVENTS.get(event.entry.name)
    return None if half is None else StepRequest(event.saga_id, half, vars(event.payload), faults_of(event.fault))

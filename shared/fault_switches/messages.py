"""Faults of a worker: of the steps that events ask for, of events on their way, and of its consumer as a whole."""

from collections.abc import Iterable, Sequence

import structlog

from shared.db import Database
from shared.event_bus import Event
from shared.fault_switches.header import faults_of
from shared.fault_switches.injector import NOTHING, Injected, Injector
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
        requests = {number: _request(event) for number, event in enumerate(events) if event.entry.name in EVENTS}
        if not requests:
            return [NOTHING] * len(events)
        planned = dict(
            zip(requests, self._injector.plan(list(requests.values()), of_messages=of_messages), strict=True)
        )
        for number, each in planned.items():
            if each.faults:
                log.warning("injected", faults=each.names, type=events[number].entry.name)
        return [planned.get(number, NOTHING) for number in range(len(events))]


def _request(event: Event) -> StepRequest:
    return StepRequest(event.saga_id, EVENTS[event.entry.name], vars(event.payload), faults_of(event.fault))

"""Brings commands to the participants: those of all sagas that wait for the same service go in one request."""

import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from tenacity import (
    Retrying,
    retry_if_result,
    sleep_using_event,
    stop_after_attempt,
    stop_when_event_set,
    wait_random_exponential,
)

from saga_orchestrator.call import Call
from saga_orchestrator.config import Settings
from saga_orchestrator.hand import Hand
from saga_orchestrator.lane import Lane, Pace
from saga_orchestrator.participants import Participants, Request
from shared import faults

# Beyond 50 little is saved, and neighbours wait longer. A usual answer takes a tenth of that patience; what takes
# longer is asked of a service that is slow, or of one slow copy of it.
TOGETHER = Pace(most=50, threads=4, patience=0.1)

Parcel = tuple[Call, Request]


class Courier:
    """A lane for each service, and one for what goes alone: what is only read, and what a service takes only alone."""

    def __init__(
        self,
        settings: Settings,
        stopping: threading.Event,
        answered: Callable[[Sequence[Call]], None],
        failed: Callable[[Sequence[Hand]], None],
    ) -> None:
        """`answered` gets each call once, with its outcome; `failed` those that a defect has left without."""
        self._participants = Participants(settings)
        self._answered = answered
        self._failed = failed
        self._lanes = {service: self._lane(service, TOGETHER) for service in self._participants.services}
        self._alone = self._lane("alone", Pace(most=1, threads=settings.executor_threads))
        self._retrying = Retrying(
            retry=retry_if_result(bool),
            stop=stop_after_attempt(settings.tries_per_attempt) | stop_when_event_set(stopping),
            wait=wait_random_exponential(multiplier=0.05, max=1),
            sleep=sleep_using_event(stopping),
            retry_error_callback=lambda state: state.outcome and state.outcome.result(),
        )

    def start(self) -> None:
        """Be ready for calls."""
        for lane in (*self._lanes.values(), self._alone):
            lane.start()

    def close(self) -> None:
        """End, after the calls that were taken."""
        for lane in (*self._lanes.values(), self._alone):
            lane.close()

    def take(self, calls: Sequence[Call]) -> None:
        """Make an attempt at each: a few tries in quick succession, while its outcome is unknown."""
        parcels = defaultdict[Lane[Parcel], list[Parcel]](list)
        for call in calls:
            request = call.request()
            if request is None:
                self._answered([call])
            elif self._participants.takes_together(request):
                parcels[self._lanes[request.service]].append((call, request))
            else:
                parcels[self._alone].append((call, request))
        for lane, waiting in parcels.items():
            lane.put(waiting)

    def _lane(self, name: str, pace: Pace) -> Lane[Parcel]:
        lane: Lane[Parcel] = Lane(
            name,
            lambda parcels: self._deliver(lane, parcels),
            lambda parcels: self._failed([call.hand for call, _ in parcels]),
            pace,
        )
        return lane

    def _deliver(self, lane: Lane[Parcel], parcels: Sequence[Parcel]) -> None:
        """An attempt at each of these."""
        parcels = [parcel for parcel in parcels if not parcel[0].hand.lost]
        for call, _ in parcels:
            faults.reach(f"executor.before_call.{call.point}")
        in_doubt = list(parcels)
        if in_doubt:
            self._retrying(self._try, lane, in_doubt)
        self._arrived([call for call, _ in in_doubt])

    def _try(self, lane: Lane[Parcel], parcels: list[Parcel]) -> list[Parcel]:
        """One try. What is answered goes on at once; the others remain, and are returned."""
        began = datetime.now(UTC)
        answers = self._participants.ask([request for _, request in parcels])
        alone = [parcel for parcel, answer in zip(parcels, answers, strict=True) if answer is None]
        asked = [parcel for parcel, answer in zip(parcels, answers, strict=True) if answer is not None]
        for (call, _), answer in zip(parcels, answers, strict=True):
            if answer is not None:
                call.take(began, answer)
        parcels[:] = [parcel for parcel in asked if parcel[0].in_doubt]
        if parcels:
            lane.let_next_go()  # before it is tried again
        self._alone.put(alone)
        self._arrived([call for call, _ in asked if not call.in_doubt])
        return parcels

    def _arrived(self, calls: Sequence[Call]) -> None:
        for call in calls:
            faults.reach(f"executor.after_call.{call.point}")
        if calls:
            self._answered(calls)

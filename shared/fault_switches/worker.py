"""A worker's consumer and publisher with faults; used only with `FAULTS=true`."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from shared.event_bus import Event
from shared.fault_switches.http import die_if
from shared.fault_switches.injector import NOTHING, Injected
from shared.fault_switches.messages import MessageFaults
from shared.fault_switches.model import FaultName, KillPoint
from shared.messaging.consumer import TRY_AGAIN_SECONDS, Consumer
from shared.messaging.delivery import Delivery
from shared.messaging.publisher import Publisher


class FaultyConsumer(Consumer):
    """Applies the faults of the steps that events request; while it is paused, messages wait."""

    def __init__(self, faults: MessageFaults, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._faults = faults
        self._paused = False

    def look(self) -> None:
        """Read whether the consumer is paused, if that may have changed."""
        if not self.told:
            return
        was_paused, self._paused = self._paused, self._faults.paused()
        self.told = False
        for delivery in self._bus.deliveries if was_paused and not self._paused else ():
            delivery.was_paused = True

    @property
    def due(self) -> bool:
        """Whether there are messages to handle."""
        return super().due and not self._paused

    def _deal_with(self, part: list[Delivery]) -> None:
        new = [delivery for delivery in part if delivery.injected is None]
        for delivery, injected in zip(new, self._faults.of_steps(each.known for each in new), strict=True):
            delivery.injected = injected
        self._faults.were_paused([delivery.known for delivery in new if delivery.was_paused])
        for delivery in part:
            die_if(_injected(delivery), KillPoint.BEFORE)
        ready = [delivery for delivery in part if not self._puts_off(delivery, is_new=delivery in new)]
        if ready:
            super()._deal_with(ready)

    def _puts_off(self, delivery: Delivery, *, is_new: bool) -> bool:
        """Whether the step is postponed: once for a slow step, as often as its fault says for a prevented one."""
        if _injected(delivery).prevented is not None:
            delivery.injected = None
            self._later(delivery, TRY_AGAIN_SECONDS)
            return True
        slow = _injected(delivery).get(FaultName.SLOW)
        if slow is not None and is_new:
            self._later(delivery, slow.seconds)
            return True
        return False

    def _acknowledge(self, part: list[Delivery]) -> None:
        """Acknowledge all messages but those whose acknowledgement is lost; these are handled again."""
        lost = [delivery for delivery in part if _injected(delivery).get(FaultName.LOSE_ANSWER) is not None]
        for delivery in part:
            die_if(_injected(delivery), KillPoint.AFTER)
        super()._acknowledge([delivery for delivery in part if delivery not in lost])
        for delivery in lost:
            delivery.injected = None
            self._later(delivery, TRY_AGAIN_SECONDS)


class FaultyPublisher(Publisher):
    """Applies the faults of events on their way; each event names the faults of the step that it reports."""

    def __init__(self, faults: MessageFaults, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._faults = faults

    def _publish(self, events: Sequence[Event]) -> None:
        planned = self._faults.on_the_way(events)
        held = {
            event.id: delay.seconds
            for event, injected in zip(events, planned, strict=True)
            if (delay := injected.get(FaultName.DELAY_MESSAGE)) is not None
        }
        self._postpone(held)
        again = [
            event for event, injected in zip(events, planned, strict=True) if injected.get(FaultName.DELIVER_TWICE)
        ]
        super()._publish(self._marked([event for event in events if event.id not in held]))
        super()._publish(self._marked([event for event in again if event.id not in held]))

    def _marked(self, events: Sequence[Event]) -> Sequence[Event]:
        names = self._faults.marks(events)
        return [replace(event, injected=each) if each else event for event, each in zip(events, names, strict=True)]


def _injected(delivery: Delivery) -> Injected:
    return delivery.injected or NOTHING

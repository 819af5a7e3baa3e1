"""When a worker declares the topology again, and how it finds partitions that are no longer wanted."""

from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from shared.event_bus import PAGOS, bindings
from shared.messaging.cloud_events import Message
from shared.messaging.topology_declaration import TopologyChannel
from shared.messaging.topology_reconciler import TopologyReconciler
from shared.topology import PROBE, Topology

SECONDS = 60


class Channel:
    """Records what is declared and unbound; the broker may have closed it."""

    def __init__(self) -> None:
        self.is_open = True
        self.declared: list[str] = []
        self.unbound: list[str] = []

    def exchange_declare(self, *_: object, **__: object) -> None:
        """Do nothing: exchanges exist."""

    exchange_bind = queue_bind = exchange_declare

    def queue_declare(self, queue: str, /, **_: object) -> None:
        self.declared.append(queue)

    def queue_unbind(self, queue: str, exchange: str, _: str, /) -> None:
        if exchange.endswith(".partitions"):
            self.unbound.append(queue)


class Bus:
    """A connection to a broker at which so many partitions exist; it opens channels when a test says so."""

    def __init__(self, partitions: int = 1, existing: int = 0) -> None:
        self.ready, self.closing = True, False
        self.consumed: list[str] = []
        self.channels: list[Channel] = []
        self.probed: list[str] = []
        self.later: list[tuple[float, Callable[[], None]]] = []
        self.existing = existing
        self.before_settled: Callable[[], None] = lambda: None
        self.opening: list[tuple[Callable[[Any], None], Callable[[Any, Exception | None], None]]] = []
        self.closed: list[Callable[[Any, Exception | None], None]] = []
        self.reconciler = TopologyReconciler(self, PAGOS, Topology(partitions), self._call_later, SECONDS)

    def _call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        self.later.append((seconds, callback))

    def run_later(self) -> list[float]:
        """Do what is due later; return after how many seconds each was to be done."""
        due, self.later = self.later, []
        for _, callback in due:
            callback()
        return [seconds for seconds, _ in due]

    def open_channel(
        self,
        opened: Callable[[TopologyChannel], None],
        closed: Callable[[TopologyChannel, Exception | None], None],
    ) -> None:
        self.opening.append((opened, closed))

    def open(self) -> Channel:
        """Open every channel that was requested; return the last one."""
        while self.opening:
            opened, closed = self.opening.pop(0)
            channel = Channel()
            self.closed.append(closed)
            opened(channel)
        return channel

    def publish(self, message: Message, settled: Callable[[bool], None], queue: str) -> None:
        assert message.routing_key == PROBE
        self.probed.append(queue)
        self.before_settled()
        settled(int(queue.rpartition(".")[2]) <= self.existing)

    def consume_partition(self, queue: str) -> None:
        self.consumed.append(queue)


def test_the_queue_is_declared_periodically_on_one_channel() -> None:
    bus = Bus()
    assert bus.run_later() == [SECONDS]
    channel = bus.open()
    assert channel.declared == ["pagos.dead", "pagos"]
    assert bus.run_later() == [SECONDS]
    assert channel.declared == ["pagos.dead", "pagos"] * 2
    assert len(bus.later) == 1


def test_all_queues_are_declared_once_however_many_messages_were_returned() -> None:
    bus = Bus()
    bus.later.clear()
    bus.reconciler.unroutable()
    bus.reconciler.unroutable()
    assert bus.run_later() == [SECONDS]
    assert set(bus.open().declared) >= set(bindings())
    bus.reconciler.unroutable()
    assert bus.run_later() == [SECONDS]


def test_a_queue_that_was_removed_is_not_made_again_before_its_own_workers_could() -> None:
    bus = Bus()
    bus.reconciler.unroutable()
    assert [seconds for seconds, _ in bus.later] == [SECONDS, SECONDS]
    assert bus.opening == []


def test_nothing_is_declared_while_the_broker_takes_nothing_and_the_next_time_is_kept() -> None:
    bus = Bus()
    bus.ready = False
    assert bus.run_later() == [SECONDS]
    assert bus.opening == []
    bus.reconciler.unroutable()
    bus.ready = True
    assert bus.run_later() == [SECONDS, SECONDS]
    bus.open()


def test_once_the_connection_is_to_end_nothing_is_looked_for() -> None:
    bus = Bus(existing=3)
    bus.closing = True
    bus.run_later()
    assert bus.later == []
    assert bus.probed == []


@pytest.mark.parametrize("change", [{"closing": True}, {"ready": False}], ids=str)
def test_a_partition_that_is_found_too_late_is_not_read(change: dict[str, bool]) -> None:
    bus = Bus(existing=3)
    bus.before_settled = lambda: vars(bus).update(change)
    bus.run_later()
    assert (bus.probed, bus.consumed) == (["pagos.1"], [])


@pytest.mark.parametrize(("error", "said"), [(ValueError("PRECONDITION_FAILED"), 1), (None, 0)])
def test_a_channel_that_a_failure_closed_is_replaced(error: Exception | None, said: int) -> None:
    bus = Bus()
    bus.run_later()
    channel = bus.open()
    channel.is_open = False
    bus.run_later()
    assert channel.declared == ["pagos.dead", "pagos"], "it is just being closed"
    with capture_logs() as logs:
        bus.closed[0](channel, error)
    assert [line["event"] for line in logs] == ["topology not declared"] * said
    bus.run_later()
    replaced = bus.open()
    bus.closed[0](channel, ValueError("late"))
    bus.run_later()
    assert len(replaced.declared) == 4


def test_former_partitions_are_read_and_unbound_one_after_the_other() -> None:
    bus = Bus()
    bus.run_later()
    channel = bus.open()
    assert bus.probed == ["pagos.1"]
    bus.existing = 3
    bus.run_later()
    assert bus.consumed == ["pagos.1", "pagos.2", "pagos.3"]
    assert bus.probed == ["pagos.1", "pagos.1", "pagos.2", "pagos.3", "pagos.4"]
    assert set(channel.unbound) == set(bus.consumed)


def test_partitions_that_are_wanted_are_no_former_ones_and_stay_bound() -> None:
    bus = Bus(partitions=2)
    bus.run_later()
    channel = bus.open()
    bus.existing = 3
    bus.run_later()
    assert bus.consumed == ["pagos.3"]
    assert channel.unbound == ["pagos.3"]
    bus.run_later()
    assert bus.consumed == ["pagos.3"]


def test_another_connection_finds_former_partitions_again() -> None:
    bus = Bus(existing=1)
    bus.run_later()
    bus.reconciler.connection_ended()
    bus.run_later()
    assert bus.consumed == ["pagos.1"] * 2

"""A scrape reads all state of a service in one transaction, which scrapes at the same time share."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy.exc import TimeoutError as NoConnection

from shared.database.connections import Database
from shared.database.metrics import DatabaseMetrics, StateMetrics
from shared.testing import concurrently

HANGING = 60.0  # seconds; only keeps a test from hanging


class Opened:
    """Stands for a database: counts transactions, and has each wait until it may go on."""

    service = "shop"

    def __init__(self) -> None:
        self.transactions = 0
        self.under_way = threading.Event()
        self.goes_on = threading.Event()
        self.goes_on.set()

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        self.transactions += 1
        self.under_way.set()
        assert self.goes_on.wait(HANGING)
        yield None


class Shown(DatabaseMetrics):
    """One gauge, whose read fails when it is told to."""

    def __init__(self, database: Opened, name: str, error: Exception | None = None) -> None:
        super().__init__(cast("Database", database))
        self.name, self.error = name, error

    def describe(self) -> Sequence[Metric]:
        return [GaugeMetricFamily(self.name, self.name)]

    def read(self, _: Any) -> Iterable[Metric]:
        if self.error is not None:
            raise self.error
        return self.describe()


def state_of(database: Opened, *shown: Shown) -> StateMetrics:
    state = StateMetrics(cast("Database", database))
    for each in shown:
        state.add(each)
    return state


def names(state: StateMetrics) -> list[str]:
    return [metric.name for metric in state.collect() if metric.name != "database_readable"]


def is_readable(state: StateMetrics) -> float:
    """Return the value of the gauge that tells whether all was read."""
    (sample,) = [sample for metric in state.collect() for sample in metric.samples]
    assert (sample.name, sample.labels) == ("database_readable", {"service": "shop"})
    return sample.value


def test_all_state_is_read_in_one_transaction() -> None:
    database = Opened()
    state = state_of(database, Shown(database, "one"), Shown(database, "two"))
    assert names(state) == ["one", "two"]
    assert database.transactions == 1


def test_a_database_that_does_not_answer_is_waited_for_once_and_what_was_read_is_shown() -> None:
    database = Opened()
    away = NoConnection("no connection in time")
    state = state_of(database, Shown(database, "one"), Shown(database, "two", away), Shown(database, "three", away))
    assert names(state) == ["one"]
    assert database.transactions == 1


def test_it_is_shown_whether_the_database_was_read() -> None:
    """Missing gauges raise no alert."""
    database = Opened()
    away = NoConnection("no connection in time")
    assert is_readable(state_of(database, Shown(database, "one"))) == 1
    assert is_readable(state_of(database, Shown(database, "one"), Shown(database, "two", away))) == 0


def test_scrapes_during_a_read_get_the_result_before_it() -> None:
    database = Opened()
    state = state_of(database, Shown(database, "one"))
    assert names(state) == ["one"]
    database.under_way.clear()
    database.goes_on.clear()
    first = threading.Thread(target=names, args=[state])
    first.start()
    assert database.under_way.wait(HANGING)
    assert concurrently(*[lambda: names(state)] * 8, seconds=HANGING) == [["one"]] * 8
    database.goes_on.set()
    first.join(HANGING)
    assert database.transactions == 2

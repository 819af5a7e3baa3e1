"""When an executor claims sagas, how many, and when it runs those that its own process accepts."""

import time
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from threading import Event, Thread, Timer
from typing import Any
from unittest.mock import Mock

import psycopg2
import pytest

from saga_orchestrator.config import Settings
from saga_orchestrator.orchestrator import CHECKOUT, VERSIONS
from saga_orchestrator.runtime import embedded, executor, leases
from saga_orchestrator.runtime.embedded import EmbeddedExecutor
from saga_orchestrator.runtime.executor import Executor
from saga_orchestrator.runtime.leases import Claimed
from shared.database.connections import CommitInDoubt
from shared.database.listen import ShutdownSignal
from shared.metrics import PROCESS
from shared.process.worker import LOCKED_SECONDS


def _no_transaction() -> Any:
    raise AssertionError("there is no database")


class Fakes:
    """An executor without threads and database; records the most sagas of each claim, and the waits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stop = ShutdownSignal()
        self.claimed_up_to: list[int] = []
        self.waited: list[float | None] = []
        self.claimed = Claimed([], None)
        told: dict[str, Any] = {"SAGA_ORCHESTRATOR_DATABASE_URL": "postgresql://nowhere"}
        settings = Settings(_env_file=None, executor_sagas=3, **told)
        self.executor = Executor(_no_transaction, VERSIONS, settings, self.stop)
        self.checkouts: list[Any] = [None]
        monkeypatch.setattr(self.executor, "_run", lambda _: None)
        monkeypatch.setattr(self.executor, "_claim", self._claim)
        monkeypatch.setattr(self.executor._listener, "wait", lambda seconds, _: self.waited.append(seconds))

    def _claim(self, limit: int) -> Claimed:
        self.claimed_up_to.append(limit)
        self.executor._claimed_at = time.monotonic()
        return self.claimed

    def hold(self, *sagas: Any) -> None:
        self.executor._active.add(sagas)

    def go(self) -> None:
        self.executor._claim_and_wait()

    def announce(self) -> None:
        """Simulate a connection that takes the executor's lock."""
        self.executor._announce(AnyLock())

    def accept(self, count: int = 1, *, new: int = 1) -> bool | None:
        """Return whether other executors are notified of so many new sagas; None when it accepts none."""
        with self.executor.accepting(count) as intake:
            if intake is None:
                return None
            intake.run(CHECKOUT, self.checkouts[:new], 60)
            return intake.acceptance.notifies


class AnyLock:
    """A cursor for which every lock is free."""

    def execute(self, *_: Any) -> None: ...

    def fetchone(self) -> tuple[bool]:
        return (True,)


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> Fakes:
    return Fakes(monkeypatch)


def some(count: int) -> Sequence[Any]:
    return [object() for _ in range(count)]


@pytest.mark.parametrize(("next_in", "waits"), [(None, None), (7.0, 7.0), (0.0, LOCKED_SECONDS)])
def test_it_waits_until_the_next_saga_is_due(fakes: Fakes, next_in: float | None, waits: float | None) -> None:
    fakes.claimed = Claimed([*some(1)], next_in)
    fakes.go()
    assert (fakes.claimed_up_to, fakes.waited) == ([2], [waits])


def test_while_others_have_leases_it_looks_after_them(fakes: Fakes) -> None:
    for next_in in (None, 7.0, 0.0):
        fakes.claimed = Claimed([], next_in, others=True)
        fakes.go()
    assert fakes.waited == [executor.LOOK_SECONDS, executor.LOOK_SECONDS, LOCKED_SECONDS]


def test_where_as_many_came_as_there_is_room_for_there_may_be_more(fakes: Fakes) -> None:
    fakes.claimed = Claimed([*some(2)], 7.0)
    fakes.go()
    assert fakes.waited == []


def test_without_room_it_waits_for_room(fakes: Fakes) -> None:
    fakes.hold(*some(3))
    fakes.go()
    assert (fakes.claimed_up_to, fakes.waited) == ([], [None])


def test_with_active_sagas_it_claims_others_only_after_a_while_and_as_many_as_there_is_room_for_then(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "CLAIM_INTERVAL_SECONDS", 0.2)
    sagas = some(2)
    fakes.hold(*sagas)
    began = time.monotonic()
    fakes.go()
    Timer(0.01, fakes.executor._active.remove, [sagas]).start()
    fakes.go()
    assert time.monotonic() - began > 0.1
    assert fakes.claimed_up_to == [1, 2]


def test_told_to_stop_it_claims_nothing(fakes: Fakes) -> None:
    fakes.hold(*some(2))
    fakes.stop.request()
    fakes.go()
    assert fakes.claimed_up_to == []


def test_it_takes_what_its_process_accepts_while_others_see_that_it_is_there(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fakes.accept() is None, "not announced yet"
    fakes.announce()
    assert fakes.accept() is not None
    lost = psycopg2.OperationalError("the connection is lost")
    monkeypatch.setattr(fakes.executor._listener, "wait", Mock(side_effect=lost))
    fakes.go()
    assert fakes.accept() is None
    fakes.announce()
    assert fakes.accept() is not None
    fakes.stop.request()
    assert fakes.accept() is None


def test_it_takes_no_more_than_it_has_room_for(fakes: Fakes) -> None:
    fakes.announce()
    fakes.hold(*some(2))
    assert fakes.accept(2) is None
    with fakes.executor.accepting(1) as intake:
        assert intake is not None
        assert fakes.accept(1) is None, "the room is kept for the first one"
        fakes.go()
        assert fakes.claimed_up_to == []
    assert fakes.accept(1) is not None


def test_others_are_notified_now_and_then_and_look_for_longer_than_that(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert executor.WATCH_SECONDS > executor.NOTIFY_SECONDS
    clock = Mock(return_value=1000.0)
    monkeypatch.setattr(time, "monotonic", clock)
    fakes.announce()
    assert [fakes.accept(), fakes.accept()] == [True, False]
    clock.return_value += executor.NOTIFY_SECONDS
    assert [fakes.accept(), fakes.accept()] == [True, False]

    def notified(seconds: float | None, _: ShutdownSignal) -> list[str]:
        fakes.waited.append(seconds)
        return [""]

    monkeypatch.setattr(fakes.executor._listener, "wait", notified)
    clock.return_value += executor.WATCH_SECONDS
    fakes.go()  # sleeps, and is notified
    clock.return_value += executor.WATCH_SECONDS - 0.1
    fakes.go()
    assert fakes.waited == [None, executor.LOOK_SECONDS]


def test_who_was_not_notified_does_not_look(fakes: Fakes, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Mock(return_value=1000.0)
    monkeypatch.setattr(time, "monotonic", clock)
    fakes.announce()
    fakes.go()
    clock.return_value += executor.WATCH_SECONDS
    fakes.go()
    assert fakes.waited == [executor.LOOK_SECONDS, None]


def test_others_are_notified_again_when_it_failed_the_first_time(fakes: Fakes) -> None:
    fakes.announce()
    with pytest.raises(LookupError), fakes.executor.accepting(1):
        raise LookupError("the transaction is rolled back")
    assert fakes.accept() is True


def test_it_ends_only_when_what_it_has_room_for_was_accepted(fakes: Fakes) -> None:
    fakes.announce()
    active = fakes.executor._active
    closed = Event()

    def close() -> None:
        active.close()
        closed.set()

    closing = Thread(target=close, daemon=True)
    with fakes.executor.accepting(1) as intake:
        assert intake is not None
        closing.start()
        assert not closed.wait(0.05)
        saga = some(1)
        active.add(saga)
    assert not closed.wait(0.05)
    assert fakes.accept() is None
    active.remove(saga)
    assert closed.wait(60)


def test_a_repeated_request_does_not_count_as_a_notification(fakes: Fakes) -> None:
    fakes.announce()
    assert [fakes.accept(new=0), fakes.accept(), fakes.accept()] == [True, True, False]


def test_nothing_is_accepted_into_the_room_that_a_claim_may_fill(fakes: Fakes, monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.announce()
    accepted: list[bool] = []

    def claim(limit: int) -> Claimed:
        with fakes.executor.accepting(1) as first, fakes.executor.accepting(1) as second:
            accepted.extend([first is not None, second is not None])
            fakes.hold(*some(1))
        fakes.hold(*some(limit))
        return Claimed([*some(limit)], None)

    monkeypatch.setattr(fakes.executor, "_claim", claim)
    fakes.go()
    assert accepted == [True, False]
    assert len(fakes.executor._active) == 3
    assert fakes.executor._active.room() == 0


@pytest.mark.parametrize("error", [CommitInDoubt("the connection is lost"), LookupError("after the commit, perhaps")])
def test_what_may_have_been_accepted_is_given_back_until_its_lease_would_be_over(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Also without capacity; and a commit in doubt may happen later."""
    given: list[Sequence[Any]] = []
    monkeypatch.setattr(leases, "give_back", lambda _, claimants: given.append(claimants))
    monkeypatch.setattr(fakes.executor, "_transaction", nullcontext)
    clock = Mock(return_value=1000.0)
    monkeypatch.setattr(time, "monotonic", clock)
    fakes.announce()
    clock.return_value += executor.WATCH_SECONDS
    claimants: list[Any] = []

    def fail() -> None:
        with fakes.executor.accepting(1) as intake:
            assert intake is not None
            claimants.append(intake.acceptance.claimant)
            raise error

    with pytest.raises(type(error)):
        fail()
    fakes.hold(*some(3))
    fakes.go()
    fakes.go()
    assert fakes.waited == [executor.LOOK_SECONDS] * 2
    clock.return_value += fakes.executor._settings.lease_seconds + 1
    fakes.go()
    fakes.go()
    assert given == [claimants] * 3
    assert fakes.waited[-1] is None


class Failing:
    """A factory: first it fails, then it makes an executor that a defect ends, and then one that works."""

    def __init__(self) -> None:
        self.made = 0
        self.works = Event()

    def make(self, stop: ShutdownSignal) -> Any:
        self.made += 1
        if self.made == 1:
            raise OSError("too many open files")
        executor = Mock()
        executor.accepting = lambda _: nullcontext("an intake")
        executor.run = partial(self._run, stop, self.made)
        return executor

    def _run(self, stop: ShutdownSignal, number: int) -> None:
        if number == 2:
            raise LookupError("a defect")
        self.works.set()
        stop.wait(60)


def defects_counted() -> float:
    counted = PROCESS.get_sample_value("executor_defects_total")
    assert counted is not None
    return counted


def test_an_embedded_executor_begins_anew_after_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "RESTART_SECONDS", 0.01)
    before = defects_counted()
    failing = Failing()
    one = EmbeddedExecutor(failing.make)
    with one.accepting(1) as intake:
        assert intake is None, "it was not started"
    one.start()
    assert failing.works.wait(60)
    with one.accepting(1) as intake:
        assert intake is not None
    one.stop()
    one.join()
    with one.accepting(1) as intake:
        assert intake is None
    assert failing.made == 3
    assert defects_counted() - before == 2, "the one that could not be made, too"

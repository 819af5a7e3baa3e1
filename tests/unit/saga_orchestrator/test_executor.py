"""When an executor claims sagas, how many, and when it takes those that its own process accepts."""

import time
from collections.abc import Sequence
from contextlib import nullcontext
from threading import Event, Thread, Timer
from typing import Any
from unittest.mock import Mock

import psycopg2
import pytest

from saga_orchestrator.config import Settings
from saga_orchestrator.orchestrator import VERSIONS
from saga_orchestrator.runtime import executor, leases
from saga_orchestrator.runtime.executor import Executor
from saga_orchestrator.runtime.leases import Claimed
from shared.database.connections import CommitInDoubt
from shared.database.listen import ShutdownSignal
from shared.process.worker import LOCKED_SECONDS


def _no_transaction() -> Any:
    raise AssertionError("there is no database")


class Fakes:
    """An executor without threads and database: how many sagas it claimed at most, and how long it then waited."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stop = ShutdownSignal()
        self.claimed_up_to: list[int] = []
        self.waited: list[float | None] = []
        self.claimed = Claimed([], None)
        told: dict[str, Any] = {"SAGA_ORCHESTRATOR_DATABASE_URL": "postgresql://nowhere"}
        settings = Settings(_env_file=None, executor_sagas=3, **told)
        self.executor = Executor(_no_transaction, VERSIONS, settings, self.stop)
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
        """A connection has the executor's lock."""
        self.executor._announce(AnyLock())

    def accept(self, count: int = 1) -> bool | None:
        """Whether other executors are told; None when it takes no sagas."""
        with self.executor.accepting(count) as intake:
            return None if intake is None else intake.lease.tells


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
    assert (fakes.claimed_up_to, fakes.waited) == ([3], [waits])


def test_while_others_have_leases_it_looks_after_them(fakes: Fakes) -> None:
    for next_in in (None, 7.0, 0.0):
        fakes.claimed = Claimed([], next_in, others=True)
        fakes.go()
    assert fakes.waited == [executor.LOOK_SECONDS, executor.LOOK_SECONDS, LOCKED_SECONDS]


def test_where_as_many_came_as_there_is_room_for_there_may_be_more(fakes: Fakes) -> None:
    fakes.claimed = Claimed([*some(3)], 7.0)
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
    assert fakes.claimed_up_to == [1, 3]


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


def test_others_are_told_now_and_then_and_look_for_longer_than_that(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert executor.WATCH_SECONDS > executor.TELL_SECONDS
    clock = Mock(return_value=1000.0)
    monkeypatch.setattr(time, "monotonic", clock)
    fakes.announce()
    assert [fakes.accept(), fakes.accept()] == [True, False]
    clock.return_value += executor.TELL_SECONDS
    assert [fakes.accept(), fakes.accept()] == [True, False]

    def notified(seconds: float | None, _: ShutdownSignal) -> list[str]:
        fakes.waited.append(seconds)
        return [""]

    monkeypatch.setattr(fakes.executor._listener, "wait", notified)
    clock.return_value += executor.WATCH_SECONDS
    fakes.go()  # sleeps, and is told
    clock.return_value += executor.WATCH_SECONDS - 0.1
    fakes.go()
    assert fakes.waited == [None, executor.LOOK_SECONDS]


def test_who_was_not_told_does_not_look(fakes: Fakes, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Mock(return_value=1000.0)
    monkeypatch.setattr(time, "monotonic", clock)
    fakes.announce()
    fakes.go()
    clock.return_value += executor.WATCH_SECONDS
    fakes.go()
    assert fakes.waited == [executor.LOOK_SECONDS, None]


def test_others_are_told_again_when_it_failed_the_first_time(fakes: Fakes) -> None:
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


def test_what_may_have_been_accepted_is_given_back_and_what_was_not_is_not(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    fakes.announce()
    given: list[Any] = []
    monkeypatch.setattr(leases, "give_back", lambda _, number, owners: given.append((number, owners)))
    monkeypatch.setattr(fakes.executor, "_transaction", nullcontext)
    owners: list[str] = []

    def fail(error: Exception) -> None:
        with fakes.executor.accepting(1) as intake:
            assert intake is not None
            owners.append(intake.lease.claimant.owner)
            raise error

    for error in (CommitInDoubt("the connection is lost"), LookupError("rolled back")):
        with pytest.raises(type(error)):
            fail(error)
    fakes.executor._give_back()
    fakes.executor._give_back()
    assert given == [(fakes.executor._id, owners[:1])]

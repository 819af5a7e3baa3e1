"""When an executor claims sagas, and how many."""

import time
from collections.abc import Sequence
from threading import Timer
from typing import Any

import pytest

from saga_orchestrator.config import Settings
from saga_orchestrator.orchestrator import VERSIONS
from saga_orchestrator.runtime import executor
from saga_orchestrator.runtime.executor import Executor
from saga_orchestrator.runtime.leases import Claimed
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

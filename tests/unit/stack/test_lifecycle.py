"""A process that lives and starts is awaited; one that ended, or ends repeatedly, is reported at once."""

import itertools
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stack import lifecycle, postgres, waiting
from stack.errors import StackError
from stack.home import Home
from stack.supervision import Supervisor


class Machine:
    """A slow machine: its clock advances by ten seconds with each wait."""

    def __init__(self, states: Iterator[Mapping[str, Any]]) -> None:
        self.now = 0.0
        self._states = states

    def monotonic(self) -> float:
        return self.now

    def sleep(self, _: float) -> None:
        self.now += 10

    def states(self) -> Mapping[str, Any]:
        state = next(self._states)
        return {"pagos": {"pid": 3, "start": 0, **state}} if state else {}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home.at(tmp_path)
    home.make()
    home.log("pagos").write_text("boring\nERROR: no room\nerror after error\n")
    return home


def machine(monkeypatch: pytest.MonkeyPatch, states: Iterator[Mapping[str, Any]]) -> Machine:
    slow = Machine(states)
    monkeypatch.setattr(waiting, "time", slow)
    monkeypatch.setattr(Supervisor, "states", lambda _: slow.states())
    monkeypatch.setattr(Supervisor, "is_there", lambda _: True)
    return slow


def test_one_that_starts_for_minutes_is_waited_for_and_people_see_why(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = machine(monkeypatch, itertools.repeat({"statename": "RUNNING"}))
    lifecycle.await_process(home, "pagos", lambda: slow.now >= 300, lambda _: "no answer yet")
    told = capsys.readouterr().out.splitlines()
    assert told[1] == "    20 s: running, pid 3; no answer yet; error after error"
    assert told[-1] == "  pagos ... ready (300.0 s)"


def test_a_supervisor_that_is_too_busy_to_answer_is_waited_for(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    busy = itertools.chain([{}] * 20, itertools.repeat({"statename": "RUNNING"}))
    machine(monkeypatch, busy)
    lifecycle.await_process(home, "pagos", lambda: True)


@pytest.mark.parametrize(
    "states",
    [
        [{"statename": "FATAL"}],
        [{"statename": "BACKOFF", "start": start} for start in (1, 2, 3)],
    ],
    ids=["given up", "again and again"],
)
def test_one_that_does_not_start_is_reported_at_once_with_its_first_error(
    home: Home, monkeypatch: pytest.MonkeyPatch, states: list[Mapping[str, Any]]
) -> None:
    slow = machine(monkeypatch, iter(states))
    with pytest.raises(StackError) as refused:
        lifecycle.await_process(home, "pagos", lambda: False)
    assert str(refused.value).startswith("pagos does not start.\nIts first error: ERROR: no room\n")
    assert slow.now < 60


def test_one_that_is_never_ready_is_given_up_in_the_end(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, itertools.repeat({"statename": "RUNNING"}))
    with pytest.raises(StackError, match="pagos was not ready after 600 seconds"):
        lifecycle.await_process(home, "pagos", lambda: False)


def test_a_server_of_the_users_is_met_by_one_connection_at_each_poll(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each attempt checks, in turn, a connection and the database."""
    machine = Machine(itertools.repeat({}))
    calls: list[tuple[str, float]] = []

    def ask(what: str, _: str) -> None:
        calls.append((what, machine.now))

    monkeypatch.setattr(waiting, "time", machine)
    monkeypatch.setattr(Supervisor, "states", lambda _: machine.states())
    monkeypatch.setattr(postgres, "is_ready", partial(ask, "ready"))
    monkeypatch.setattr(postgres, "missing_database", partial(ask, "missing"))
    with pytest.raises(StackError, match="no postgres lets us in"):
        lifecycle.await_server(home, "postgres", {"DATABASE_URL": "postgresql://127.0.0.1:1/shop"})
    assert calls == [("ready", 0), ("missing", 10), ("ready", 20), ("missing", 30), ("ready", 40)]

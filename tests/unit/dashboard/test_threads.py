"""When a thread cannot be started, the next request starts another one."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from dashboard.auditor import Auditor
from dashboard.load_driver import LoadDriver
from dashboard.load_plan import LoadPlan
from dashboard.trends import Trends


def refuse(*_: Any) -> Any:
    """Fail; stands for services that must not be reached."""
    raise AssertionError


def failing_to_start(monkeypatch: pytest.MonkeyPatch, begin: Callable[[], object]) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", lambda _: (_ for _ in ()).throw(RuntimeError("no more threads")))
        with pytest.raises(RuntimeError, match="no more threads"):
            begin()


def test_an_audit_that_could_not_begin_is_none_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    auditor = Auditor(refuse)
    failing_to_start(monkeypatch, lambda: auditor.look(""))
    assert auditor.look("", may_begin=False).running is None


def test_curves_whose_reader_could_not_begin_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    trends = Trends(refuse)
    failing_to_start(monkeypatch, trends.watched)
    assert not trends.is_reading


def test_a_load_that_could_not_begin_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = LoadDriver(refuse)
    failing_to_start(monkeypatch, lambda: driver.run(LoadPlan(), {}))
    assert not driver.state().is_running

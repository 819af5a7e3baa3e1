"""Waiting prints what is awaited, and for how long."""

import pytest

from stack import waiting
from stack.errors import StackError
from stack.waiting import await_ready


def test_what_takes_long_is_told_with_its_state(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(waiting, "TELL_SECONDS", 0.01)
    states = iter(["starting, pid 1", "starting, pid 1; booting", *["running"] * 1000])
    seen: list[str] = []

    def state() -> str:
        seen.append(next(states))
        return seen[-1]

    await_ready("rabbitmq", lambda: len(seen) >= 3, state=state)
    first, *told, last = capsys.readouterr().out.splitlines()
    assert first.strip() == "rabbitmq ..."
    assert [line.split(" s: ")[1] for line in told] == ["starting, pid 1", "starting, pid 1; booting", "running"]
    assert last.startswith("  rabbitmq ... ready (")


def test_what_is_soon_ready_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    await_ready("postgres", lambda: True)
    assert capsys.readouterr().out == "  postgres ... ready (0.0 s)\n"


def test_what_is_never_ready_is_given_up_with_its_state(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StackError, match=r"pagos was not ready after 0 seconds\. running, pid 3"):
        await_ready("pagos", lambda: False, 0, state=lambda: "running, pid 3")
    assert "not ready" in capsys.readouterr().out

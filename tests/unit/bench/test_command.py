"""The options of `python -m bench`, and its messages when it cannot begin."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bench import __main__ as command
from stack import settings

Said = Callable[..., tuple[int | str | None, str]]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Said:
    def run(*arguments: str) -> tuple[int | str | None, str]:
        monkeypatch.setattr("sys.argv", ["bench", "--home", str(tmp_path), *arguments])
        monkeypatch.setattr(settings, "user_settings", dict)
        try:
            status: int | str | None = command.main()
        except SystemExit as end:
            status = end.code
        return status, capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    ("option", "value"),
    [("--sagas", "0"), ("--rounds", "-1"), ("--declines", "1.1"), ("--concurrency", "8,x"), ("--concurrency", "0")],
)
def test_a_value_that_makes_no_sense_is_refused(said: Said, option: str, value: str) -> None:
    status, error = said(option, value)
    assert status == 2
    assert f"argument {option}: invalid" in error


def test_where_nothing_is_up_it_says_how_to_start_it(said: Said) -> None:
    assert said() == (1, "\nNothing seems to be up: make up\n")


def test_a_style_that_there_is_not_is_refused_by_name(said: Said) -> None:
    status, error = said("--styles", "baseline,telepathic")
    assert status == 1
    assert "No such style here: telepathic." in error

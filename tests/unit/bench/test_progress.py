"""The progress bar."""

import io

import pytest

from bench.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_how_far_it_is_and_what_is_being_done(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    progress = Progress(3)
    progress.show("the first")
    progress.advance()
    progress.show("the second")
    progress.clear()
    first, second, cleared = terminal.getvalue().removeprefix("\r\033[K").split("\r\033[K")
    assert first == f"[{'.' * 30}] 0/3   the first"
    assert second.startswith(f"[{'#' * 10}{'.' * 20}] 1/3 0:00 left")
    assert second.endswith("the second")
    assert cleared == ""


def test_nothing_is_shown_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(1)
    progress.show("it")
    progress.clear()
    assert capsys.readouterr() == ("", "")

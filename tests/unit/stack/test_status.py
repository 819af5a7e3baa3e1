from pathlib import Path

import pytest

from stack import health, status
from stack.errors import StackError
from stack.home import Home
from stack.processes import PROCESSES
from stack.supervision import Supervisor

TOLD = (
    "DATABASE_URL=postgresql+psycopg2://saga:secret@127.0.0.1:4000/saga\nPAGOS_PORT=4002\nPAGOS_SERVICE_URL=http://p\n"
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home.at(tmp_path)
    home.make()
    return home


def test_when_nothing_runs_it_says_how_to_start(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    status.show(home)
    assert capsys.readouterr().out == "Not running: make up\n"


def test_a_table_shows_what_runs_and_no_password(
    home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home.env_file.write_text(TOLD)
    monkeypatch.setattr(Supervisor, "states", lambda _: {"pagos": {"statename": "RUNNING", "pid": 17}})
    monkeypatch.setattr(health, "condition", lambda *_: health.RUNNING)
    status.show(home)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["pagos", "running", "17", "4002", "http://p"] in lines
    assert ["postgres", "yours", "postgresql+psycopg2://saga@127.0.0.1:4000/saga"] in lines
    assert not any(line[:1] == ["carrito"] for line in lines)


def test_one_that_hangs_is_shown_as_such_and_what_to_do(
    home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home.env_file.write_text(TOLD)
    monkeypatch.setattr(Supervisor, "states", lambda _: {"pagos-worker": {"statename": "RUNNING", "pid": 17}})
    monkeypatch.setattr(health, "condition", lambda *_: health.Condition("hung", "frozen for 40 s"))
    status.show(home)
    shown = capsys.readouterr().out
    assert ["pagos-worker", "hung", "17"] in [line.split() for line in shown.splitlines()]
    assert "pagos-worker is hung: frozen for 40 s\n  To have it started again: kill -9 17\n" in shown


def test_logs_of_a_process_are_followed_with_its_copies(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.log", "a-1.log", "a-worker.log", "b.log", "a.log.1"):
        (home.logs / name).touch()
    become: list[list[str]] = []
    monkeypatch.setattr("os.execvp", lambda _, argv: become.append(argv))
    status.follow_logs(home, "a")
    assert [Path(word).name for word in become[0][-2:]] == ["a-1.log", "a.log"]
    assert str(home.logs / "b.log") not in become[0]


def test_logs_of_a_process_that_is_unknown_names_those_that_are(home: Home) -> None:
    with pytest.raises(StackError, match=r"No logs of x.*" + next(iter(PROCESSES))):
        status.follow_logs(home, "x")

"""Unpacking RabbitMQ from the distribution's packages: the printed messages."""

import re
import sys
from pathlib import Path

import pytest

from stack import debian
from stack.errors import StackError


def test_it_is_one_line_with_its_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def download(work: Path) -> list[Path]:
        (work / "tree/usr/lib/erlang/bin").mkdir(parents=True)
        debian._run(sys.executable, "-c", "print('Get:1 a package')")
        return []

    monkeypatch.setattr(debian, "_download", download)
    debian.unpack_rabbitmq(tmp_path / "rabbitmq/dist")
    assert re.fullmatch(r"  RabbitMQ isn't installed: .* \.\.\. done \(\d+ s\)\n", capsys.readouterr().out)


def test_a_command_that_fails_is_named_with_its_last_lines() -> None:
    with pytest.raises(StackError, match=r"(?s)failed \(3\)\..*no such package"):
        debian._run(sys.executable, "-c", "import sys; print('no such package'); sys.exit(3)")

"""`make mutants` on a checkout of two files: its reports of a bug that is caught, and of one that is not."""

import subprocess
import textwrap
from pathlib import Path

import pytest

from tests.mutants.__main__ import main

CODE = "def price(quantity):\n    return quantity * 3\n"
TESTS = """
    import subprocess
    import sys

    from till import price


    def test_two_cost_twice_as_much():
        assert price(2) == 6


    def test_another_process_says_the_same():
        said = subprocess.run([sys.executable, "-c", "import till; print(till.price(2))"], capture_output=True)
        assert said.stdout == b"6\\n"


    def test_nothing_costs_nothing():
        assert price(0) == 0
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "till.py").write_text(CODE)
    (tmp_path / "test_till.py").write_text(textwrap.dedent(TESTS))
    (tmp_path / ".gitignore").write_text(".local\n__pycache__\n")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    return tmp_path


def tried(source: Path, old: str, new: str, test: str, *arguments: str) -> int:
    """Return the exit status for one planted bug that one test should catch."""
    listed = source / "mutants.toml"
    listed.write_text(
        f"[[till]]\nbug = 'a bug'\nfile = 'till.py'\nold = '{old}'\nnew = '{new}'\ntests = ['test_till.py::{test}']\n"
    )
    status = main(arguments, source, listed)
    assert (source / "till.py").read_text() == CODE, "the checkout itself is left alone"
    assert list((source / ".local").glob("*")) == [], "and of the copy nothing is left"
    return status


@pytest.mark.parametrize("test", ["test_two_cost_twice_as_much", "test_another_process_says_the_same"])
def test_a_bug_that_a_test_notices_is_caught(source: Path, test: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert tried(source, "* 3", "* 4", test) == 0
    assert "caught  till  a bug" in capsys.readouterr().out


def test_a_bug_that_no_test_notices_has_survived(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tried(source, "* 3", "* 4", "test_nothing_costs_nothing") == 1
    assert "SURVIVED  till  a bug" in capsys.readouterr().out


def test_a_bug_without_a_place_is_stale(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tried(source, "* 5", "* 4", "test_nothing_costs_nothing") == 1
    assert "STALE  till  a bug" in capsys.readouterr().out


def test_what_cannot_even_be_imported_is_no_bug_that_was_caught(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tried(source, "return", "retrun", "test_nothing_costs_nothing") == 1
    assert "UNTESTED  till  a bug" in capsys.readouterr().out


def test_a_test_that_fails_anyway_catches_nothing(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (source / "test_till.py").write_text("def test_nothing_costs_nothing():\n    assert False\n")
    assert tried(source, "* 3", "* 4", "test_nothing_costs_nothing") == 1
    assert "must pass before a bug is planted" in capsys.readouterr().err


def test_those_that_are_wanted_are_tried_and_no_others(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tried(source, "* 3", "* 4", "test_two_cost_twice_as_much", "TILL: A") == 0
    assert tried(source, "* 3", "* 4", "test_two_cost_twice_as_much", "--list") == 0
    assert capsys.readouterr().out.endswith("till: a bug\n")
    assert tried(source, "* 3", "* 4", "test_two_cost_twice_as_much", "basket") == 1

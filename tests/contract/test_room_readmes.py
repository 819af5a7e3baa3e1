"""Every folder of the library, the stack and the tools has a README, which names exactly its modules."""

import re
from pathlib import Path

import pytest

from shared.config import ROOT

NAMED = re.compile(r"`([\w-]+(?:\.py|/))`")  # a module or folder; a name with a path belongs to another folder


def rooms() -> list[Path]:
    """Return the folders that contain modules."""
    tops = (ROOT / name for name in ("shared", "stack", "dashboard", "bench"))
    found = {module.parent for top in tops for module in top.rglob("*.py")}
    return sorted(path.relative_to(ROOT) for path in found)


def test_all_rooms_are_found() -> None:
    assert {Path("shared"), Path("shared/batching"), Path("stack/demo"), Path("bench/compare")} <= set(rooms())


@pytest.mark.parametrize("room", rooms(), ids=str)
def test_a_rooms_readme_names_its_modules_and_its_rooms_and_no_others(room: Path) -> None:
    named = set(NAMED.findall((ROOT / room / "README.md").read_text()))
    modules = {path.name for path in (ROOT / room).glob("*.py")} - {"__init__.py"}
    assert {each for each in named if each.endswith(".py")} == modules
    folders = {f"{each.name}/" for each in rooms() if each.parent == room}
    assert folders <= named, "folders with modules are named as `name/`"
    assert all((ROOT / room / each).is_dir() for each in named - modules)


def test_the_readme_of_the_tests_names_every_kind() -> None:
    kinds = {f"{path.name}/" for path in ROOT.joinpath("tests").iterdir() if path.is_dir() and path.name[0] not in "._"}
    assert set(NAMED.findall((ROOT / "tests" / "README.md").read_text())) == kinds


def test_each_decision_has_a_number_of_its_own() -> None:
    records = sorted(each.name for each in (ROOT / "docs/decisions").glob("*.md"))
    assert [int(name[:4]) for name in records] == list(range(1, len(records) + 1))
    titles = [(ROOT / "docs/decisions" / name).read_text().partition(".")[0] for name in records]
    assert titles == [f"# {number}" for number in range(1, len(records) + 1)]

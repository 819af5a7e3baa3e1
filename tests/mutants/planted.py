"""The list of planted bugs, `mutants.toml`: each changes one place of one file, and names the tests that must fail."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LIST = Path(__file__).with_name("mutants.toml")


@dataclass(frozen=True)
class Mutant:
    """One bug: `old` becomes `new` in a file. `area` is the part of the system that it breaks."""

    area: str
    bug: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its name in reports, by which bugs are selected."""
        return f"{self.area}: {self.bug}"

    def is_stale(self, root: Path) -> bool:
        """Whether the quoted code is no longer in exactly one place of the file."""
        path = root / self.file
        return not path.is_file() or path.read_text().count(self.old) != 1


def read(path: Path = LIST) -> list[Mutant]:
    """Read all bugs, in the order of the list. `TypeError` for an entry with a missing or an unknown field."""
    return [
        Mutant(area=area, **{**entry, "tests": tuple(entry["tests"])})
        for area, entries in tomllib.loads(path.read_text()).items()
        for entry in entries
    ]


def selected(mutants: Sequence[Mutant], wanted: Sequence[str]) -> list[Mutant]:
    """Return the bugs whose name contains one of the wanted texts; all of them if there are none."""
    return [each for each in mutants if not wanted or any(text.lower() in each.name.lower() for text in wanted)]

"""How large modules and functions are, and how many lines are there twice."""

import ast
import re
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from shared.config import ROOT

PACKAGES = tuple(sorted(path.parent.name for path in ROOT.glob("*/__init__.py") if path.parent.name != "tests"))
PATCH = ROOT / "tests/examples/shipping.patch"
MODULE_LINES, FUNCTION_LINES = 200, 25  # beyond these, consider splitting
SAME_LINES = 6  # a run of so many equal lines in two places is a duplicate; a shorter one may be chance


@dataclass(frozen=True)
class Function:
    """A function or method, with nested ones. Lines are counted from 1, decorators included."""

    file: str
    name: str
    first: int
    last: int

    @property
    def lines(self) -> int:
        """Its length."""
        return self.last - self.first + 1


def modules() -> list[str]:
    """Return the files of the project's code, without tests and migrations."""
    paths = (path.relative_to(ROOT) for package in PACKAGES for path in sorted(ROOT.joinpath(package).rglob("*.py")))
    return [str(path) for path in paths if "migrations" not in path.parts and path.name != "__init__.py"]


@cache
def functions_of(file: str) -> tuple[Function, ...]:
    """Return the functions and methods of a module."""
    return tuple(_functions(file, ast.parse(ROOT.joinpath(file).read_text()).body))


def _functions(file: str, body: Iterable[ast.stmt]) -> Iterator[Function]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from _functions(file, node.body)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            yield Function(file, node.name, first, node.end_lineno or node.lineno)


def function_at(file: str, line: int) -> Function | None:
    """Return the function or method around a line; None for what runs when the module is imported."""
    return next((each for each in functions_of(file) if each.first <= line <= each.last), None)


def duplicate_lines(texts: Sequence[str]) -> int:
    """Count the lines in runs of `SAME_LINES` lines that occur in another place, too; imports are not counted."""
    places = defaultdict[tuple[str, ...], list[tuple[int, int]]](list)
    for number, text in enumerate(texts):
        lines = [line.strip() for line in re.sub(r"^from [^(\n]*\([^)]*\)", "", text, flags=re.MULTILINE).splitlines()]
        told = [line for line in lines if line and not line.startswith(("import ", "from "))]
        for start in range(len(told) - SAME_LINES + 1):
            places[tuple(told[start : start + SAME_LINES])].append((number, start))
    repeated = (place for found in places.values() if len(found) > 1 for place in found)
    return len({(number, start + offset) for number, start in repeated for offset in range(SAME_LINES)})


def files_of_patch(patch: str) -> tuple[int, int]:
    """Return how many files of the project a patch changes, and how many it adds."""
    files = re.findall(r"^--- (\S+)\n\+\+\+ b/", patch, re.MULTILINE)
    added = files.count("/dev/null")
    return len(files) - added, added


def rows() -> list[tuple[str, str]]:
    """Return what is measured of all code, each with its figure."""
    files = modules()
    lengths = [len(ROOT.joinpath(file).read_text().splitlines()) for file in files]
    functions = [each.lines for file in files for each in functions_of(file)]
    changed, added = files_of_patch(PATCH.read_text())
    return [
        ("modules", f"{len(files)}; median {statistics.median(lengths):.0f} lines; {_above(lengths, MODULE_LINES)}"),
        (
            "functions",
            f"{len(functions)}; median {statistics.median(functions):.0f} lines; {_above(functions, FUNCTION_LINES)}",
        ),
        ("a fifth step", f"{changed} files change, {added} are new (tests/examples/shipping.patch)"),
        ("README.md", f"{Path(ROOT, 'README.md').stat().st_size} bytes"),
        ("lines there twice", f"{duplicate_lines([ROOT.joinpath(file).read_text() for file in files])}"),
    ]


def _above(lengths: Sequence[int], most: int) -> str:
    return f"{sum(each > most for each in lengths)} above {most}"

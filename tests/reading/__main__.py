"""`python -m tests.reading`: how much one has to read to follow one checkout, and how the code is cut.

With `--list` it names the functions, too.
"""

import argparse
import os
import sys
from collections.abc import Mapping

from stack.table import table
from tests.reading import sizes
from tests.reading.terms import classes_named, own_terms
from tests.reading.way import RUNTIMES, Way, measure


def main() -> int:
    """Measure, and print the results."""
    parser = argparse.ArgumentParser(prog="python -m tests.reading", description=__doc__)
    parser.add_argument("--list", action="store_true", help="name the functions on the way, too")
    options = parser.parse_args()
    os.environ.setdefault("LOG_LEVEL", "WARNING")
    ways = measure()
    print("\n".join(table([("one checkout", *ways), *_rows(ways)])), end="\n\n")
    print("\n".join(f"{name:<20}{figure}" for name, figure in sizes.rows()))
    if options.list:
        print("\n".join(line for style, way in ways.items() for line in _listed(style, way)))
    return 0


def _rows(by_style: Mapping[str, Way]) -> list[tuple[str, ...]]:
    """Return what is counted on the way of a checkout, for each style."""
    ways = list(by_style.values())
    figures = {
        "files of services": [len({each.file for each in way.own}) for way in ways],
        "libraries they call": [len(way.libraries) for way in ways],
        "files in all": [len(way.files) for way in ways],
        "files in all, the runtime as one": [way.files_with_one(RUNTIMES[style]) for style, way in by_style.items()],
        "functions of services": [len(way.own) for way in ways],
        "their lines": [sum(each.lines for each in way.own) for way in ways],
        "functions of libraries that they call": [len(way.entered) for way in ways],
        "functions in all": [len(way.functions) for way in ways],
        "functions in all, the runtime as one": [
            way.functions_with_one(RUNTIMES[style]) for style, way in by_style.items()
        ],
        "classes of ours that services name": [len(classes_named(way.own)) for way in ways],
        "own terms of the glossary": [len(own_terms(way.functions)) for way in ways],
    }
    return [(name, *map(str, counts)) for name, counts in figures.items()]


def _listed(style: str, way: Way) -> list[str]:
    names = {file: sorted(each.name for each in way.functions if each.file == file) for file in sorted(way.files)}
    return [f"\n{style}", *(f"  {file}: {', '.join(functions)}" for file, functions in names.items())]


if __name__ == "__main__":
    sys.exit(main())

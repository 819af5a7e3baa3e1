"""Text for people: tables, and colours where they can be seen."""

import os
import sys
from collections.abc import Iterable, Sequence

COLOURS = {"bold": "1", "red": "31", "green": "32", "yellow": "33"}


def paint(text: str, colour: str) -> str:
    """Return the text in a colour; unchanged when the output is no terminal, or NO_COLOR is set (no-color.org)."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\033[{COLOURS[colour]}m{text}\033[0m"


def table(rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table. The first row is its head."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [lines[0], "  ".join("-" * width for width in widths), *lines[1:]]

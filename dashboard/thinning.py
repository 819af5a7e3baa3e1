"""Merges marks on a lane where there are so many that they would overlap."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dashboard.swimlane import Bar

MOST = 300  # marks that are drawn without merging
CELL = 1.0  # percent of the width: two marks at their least size, 5 px, side by side


def thinned(bars: "Sequence[Bar]") -> "list[Bar]":
    """Return the marks; when there are many, those of one state in the same cell of a lane are merged."""
    if len(bars) <= MOST:
        return list(bars)
    cells: dict[object, list[Bar]] = {}
    for bar in bars:
        cells.setdefault((bar.y, bar.state, bar.is_dot, int(bar.x / CELL)), []).append(bar)
    return [_one(cell) for cell in cells.values()]


def _one(cell: "list[Bar]") -> "Bar":
    first = min(cell, key=lambda bar: bar.x)
    if len(cell) == 1:
        return first
    width = max(bar.x + bar.width for bar in cell) - first.x
    return replace(first, width=round(width, 3), label=f"{len(cell)} entries, the first: {first.label}")

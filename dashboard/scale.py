"""Scales of time: true, and with every quiet period folded to a fixed width. Places are in percent of the width."""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from dashboard.words import duration

FOLD_OVER = 350.0  # ms without anything; the duration of a successful checkout
FOLDED_TO = 0.55  # as a share of FOLD_OVER: narrower than any period that is folded
TICKS = (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 60_000, 120_000, 300_000, 600_000, 3_600_000)
UNITS = ((3_600_000.0, "h"), (60_000.0, "min"), (1000.0, "s"), (1.0, "ms"))  # the largest that fits into a step is used
MOST_TICKS = 7  # labels of more would overlap at 390 px


@dataclass(frozen=True)
class Piece:
    """A period, and where it is drawn: `at` and `width` are in folded milliseconds."""

    start: float
    end: float
    at: float
    width: float
    folded: bool


class Scale:
    """Maps milliseconds to percent of the width."""

    def __init__(self, marks: Iterable[float], end: float, *, fold: bool) -> None:
        self.end = end or 1.0
        self._pieces: list[Piece] = []
        at = 0.0
        for start, stop in pairwise(sorted({0.0, self.end, *(mark for mark in marks if 0 <= mark <= self.end)})):
            folded = fold and stop - start > FOLD_OVER
            width = FOLD_OVER * FOLDED_TO if folded else stop - start
            self._pieces.append(Piece(start, stop, at, width, folded))
            at += width
        self._width = at
        self._ends = [piece.end for piece in self._pieces]

    def at(self, moment: float) -> float:
        """Return the place of a moment."""
        index = bisect_left(self._ends, moment)  # a search, since a saga may have thousands of marks
        if index == len(self._ends):
            return 100.0
        piece = self._pieces[index]
        share = max(0.0, moment - piece.start) / (piece.end - piece.start)
        return round(100 * (piece.at + piece.width * share) / self._width, 3)

    @property
    def folds(self) -> list[tuple[float, float, str]]:
        """Return place, width and duration of each folded period."""
        return [
            (self.at(piece.start), round(100 * piece.width / self._width, 3), duration(piece.end - piece.start))
            for piece in self._pieces
            if piece.folded
        ]

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Return round times along a true scale, all in one unit."""
        step = next((step for step in TICKS if self.end / step <= MOST_TICKS), self.end / MOST_TICKS)
        times = (index * step for index in range(int(self.end / step) + 1))
        size, unit = next(each for each in UNITS if step >= each[0] or each[0] == 1.0)
        if size == 1.0 and self.end >= 1000:
            size, unit = 1000.0, "s"
        return [(self.at(time), f"{round(time / size, 2):g} {unit}" if time else "0") for time in times]

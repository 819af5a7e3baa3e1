"""Plots as SVG text: the scales, axes and marks of the report. Colours are classes of its style sheet."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

WIDTH, HEIGHT = 440, 270  # of a plot; as wide as a telephone, so that its text can be read there, too
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 34, 42  # margins: numbers, the last tick's half, legend, numbers and name
STEPS = (1, 2, 5, 10)
FEW = 8  # times the lowest value; up to this ratio, 1, 2, 5, 10 ... would give two ticks or less
TICKS = 6  # at most about so many on an axis without logarithms
Point = tuple[float, float]


@dataclass(frozen=True)
class Scale:
    """Maps values to pixels; with `log`, on a logarithmic scale."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return the pixel of a value; values beyond an end are drawn on it."""
        low, high, within = self.low, self.high, min(max(value, self.low), self.high)
        if self.log:
            low, high, within = math.log(low), math.log(high), math.log(within)
        return self.start + (self.end - self.start) * (within - low) / (high - low)

    def ticks(self) -> list[float]:
        """Return round values for the axis."""
        if self.log and self.high / self.low > FEW:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            ticks = [step * 10.0**decade for decade in decades for step in STEPS[:3]]
            return [tick for tick in ticks if self.low <= tick <= self.high]
        step = nice_step((self.high - self.low) / TICKS)
        first = math.ceil(self.low / step)
        return [number * step for number in range(first, math.floor(self.high / step + 1e-9) + 1)]


def nice_step(least: float) -> float:
    """Return the smallest of …, 0.2, 0.5, 1, 2, 5, 10, … that is not less than the value."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in STEPS if step * power >= least * (1 - 1e-9))


def across(low: float, high: float, *, log: bool = False) -> Scale:
    """Make a scale of the horizontal axis."""
    return Scale(low, high, LEFT, WIDTH - RIGHT, log)


def upwards(low: float, high: float) -> Scale:
    """Make a scale of the vertical axis."""
    return Scale(low, high, HEIGHT - BOTTOM, TOP)


def number(value: float) -> str:
    """Write a number without superfluous digits."""
    return f"{value:g}" if value < 1000 else f"{value / 1000:g}k"


@dataclass
class Plot:
    """One plot; later parts are drawn over earlier ones. `told` is its text alternative."""

    told: str
    x: Scale
    y: Scale
    x_name: str
    y_percent: bool = False
    parts: list[str] = field(default_factory=list)

    def line(self, points: Iterable[Point], css: str) -> None:
        """Draw a line through these values."""
        pixels = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points)
        self.parts.append(f'<polyline class="line {css}" points="{pixels}"/>')

    def strip(self, low: float, high: float, css: str, place: int) -> None:
        """Mark a period by a strip at the top; the first of several strips has place 0."""
        left, right, top = self.x(low), self.x(high), TOP + 4 + 9 * place
        self.parts.append(
            f'<rect class="bar {css}" x="{left:.1f}" y="{top}" width="{right - left:.1f}" height="6"/>'
            + text_at(left - 5, top + 7, "down", "small end")
        )

    def __str__(self) -> str:
        return drawing(self.told, HEIGHT, [*self._axes(), *self.parts])

    def _axes(self) -> Iterable[str]:
        bottom = HEIGHT - BOTTOM
        for tick in self.y.ticks():
            y, text = self.y(tick), f"{tick:.0%}" if self.y_percent else number(tick)
            yield f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>' + text_at(LEFT - 7, y + 4, text, "end")
        yield f'<path class="axis" d="M{LEFT} {bottom}H{WIDTH - RIGHT}"/>'
        for tick in self.x.ticks():
            yield text_at(self.x(tick), bottom + 17, number(tick), "middle")
        yield text_at((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, self.x_name, "note middle")


def short(value: float) -> str:
    """Write a measured value with its significant digits."""
    return number(round(value, 1) if value < 10 else round(value))


def legend(entries: Sequence[tuple[str, str]], left: float = 0) -> list[str]:
    """Draw the legend above a plot: a sample of each colour, given by its class, and its name."""
    drawn = []
    for css, name in entries:
        drawn.append(f'<path class="key {css}" d="M{left:.1f} 11h16"/>{text_at(left + 21, 15, name)}')
        left += 36 + 6.6 * len(name)  # pixels of a letter, on average, of 13 px text
    return drawn


def text_at(x: float, y: float, text: str, css: str = "") -> str:
    """Draw a text that begins at this point; the class `middle` or `end` says which other part of it is there."""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{css}">{escape(text)}</text>'


def drawing(told: str, height: float, parts: Iterable[str]) -> str:
    """Return an SVG element of the common width."""
    inside = "".join(parts)
    return f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(told)}">{inside}</svg>'

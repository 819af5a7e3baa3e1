"""Charts with a row for each style of each scenario: bars, bars of several parts, and ranges."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import TypeVar

from bench.compare.svg import RIGHT, WIDTH, Scale, drawing, legend, short, text_at

NAMES = 116  # pixels for the names of the styles, left of the rows
TITLE, ROW, BAR, GAP = 20, 21, 15, 10  # heights: of a scenario's title, of a row, of its bar, and after a scenario
VALUE = 52  # pixels for the value beside the longest bar
T = TypeVar("T")
Group = Mapping[str, Mapping[str, Sequence[float]]]  # scenario -> style -> the values of the rounds


def bars(told: str, groups: Group, unit: str) -> str:
    """Draw the median of the rounds as a bar with its value, and each round as a dot."""
    x = _scale(max(value for styles in groups.values() for values in styles.values() for value in values))
    parts, top = list[str](), 0.0
    for top, style, values in _rows(groups, parts):
        middle = median(values)
        parts.append(_rect(x(0), top, x(middle) - x(0), style))
        parts += [f'<circle class="round" cx="{x(value):.1f}" cy="{top + BAR / 2:.1f}" r="2.5"/>' for value in values]
        parts.append(text_at(x(max(values)) + 8, top + 12, f"{short(middle)} {unit}"))
    return drawing(told, top + ROW + 2, parts)


def stacked(told: str, groups: Mapping[str, Mapping[str, Mapping[str, float]]], unit: str) -> str:
    """Draw bars of several named parts, all in the order of the first bar, with their sum."""
    x = _scale(max(sum(parts.values()) for styles in groups.values() for parts in styles.values()))
    names = list(next(iter(next(iter(groups.values())).values())))
    drawn, top = legend([(f"part{place}", name) for place, name in enumerate(names)]), 0.0
    for top, _, values in _rows(groups, drawn, top=26):
        left = 0.0
        for place, name in enumerate(names):
            drawn.append(_rect(x(left), top, x(left + values[name]) - x(left), f"part{place}"))
            left += values[name]
        drawn.append(text_at(x(left) + 8, top + 12, f"{short(left)} {unit}"))
    return drawing(told, top + ROW + 2, drawn)


def ranges(told: str, groups: Mapping[str, Mapping[str, tuple[float, float]]]) -> str:
    """Draw ranges of times, in milliseconds, on a logarithmic scale."""
    ends = [end for styles in groups.values() for pair in styles.values() for end in pair]
    x = Scale(min(ends) * 0.8, max(ends) * 1.1, NAMES, WIDTH - 2 * VALUE - 24, log=True)
    parts, top = list[str](), 0.0
    for top, style, (low, high) in _rows(groups, parts):
        y = top + BAR / 2
        parts.append(f'<path class="range {style}" d="M{x(low):.1f} {y}H{x(high):.1f}"/>')
        parts += [f'<circle class="end {style}" cx="{x(end):.1f}" cy="{y}" r="4.5"/>' for end in (low, high)]
        parts.append(text_at(x(high) + 10, top + 12, f"{_duration(low)} to {_duration(high)}"))
    return drawing(told, top + ROW + 2, parts)


def _duration(milliseconds: float) -> str:
    return f"{short(milliseconds)} ms" if milliseconds < 1000 else f"{short(milliseconds / 1000)} s"


def _rows(groups: Mapping[str, Mapping[str, T]], parts: list[str], top: float = 0) -> Iterator[tuple[float, str, T]]:
    """Yield the top, the style and the values of each row, and add the titles and names to `parts`."""
    for scenario, styles in groups.items():
        parts.append(text_at(0, top + 13, scenario, "strong"))
        top += TITLE
        for style, values in styles.items():
            parts.append(text_at(NAMES - 8, top + 12, style, "end"))
            yield top, style, values
            top += ROW
        top += GAP


def _scale(most: float) -> Scale:
    return Scale(0, most, NAMES, WIDTH - RIGHT - VALUE)


def _rect(left: float, top: float, width: float, css: str) -> str:
    return f'<rect class="bar {css}" x="{left:.1f}" y="{top:.1f}" width="{max(0, width):.1f}" height="{BAR}"/>'

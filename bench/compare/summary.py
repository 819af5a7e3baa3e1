"""The results, as tables for a terminal."""

from collections.abc import Iterator, Sequence

from bench.compare.figures import Figures, figures_of, outage_figures_of
from bench.compare.results import Comparison
from bench.compare.scenarios import SCENARIOS, STYLES, Scenario
from stack.table import paint, table

Row = tuple[str, ...]
CALM_HEAD = ("", "", "per s", "p50 ms", "p95 ms", "p99 ms", "CPU ms", "books open p50", "p95", "undone in p50")
OUTAGE_HEAD = (
    "",
    "",
    "down s",
    "ended then",
    "waiting",
    "caught up s",
    "slowest s",
    "books p95 s",
    "turned away",
    "undone",
)
NOTE = """\
x: choreographed in relation to orchestrated. CPU: per saga, over all processes but the load's driver. Books open: from
a saga's first effect to its end. Undone in: from the refusal to the end. Ended then: checkouts that ended while
something was down, of those that were under way or came then. Waiting: the most at one time. Caught up: after the
outage, until all were ended that had come before. Turned away: how often a shopper was told to come again."""


def text_of(comparison: Comparison) -> str:
    """Return both tables; one without rows is left out."""
    measured = measured_of(comparison)
    calm = [row for scenario in measured if not scenario.down for row in calm_rows(comparison, scenario)]
    outages = [row for scenario in measured if scenario.down for row in outage_rows(comparison, scenario)]
    parts = [
        f"{paint(title, 'bold')}\n" + "\n".join(table([head, *rows]))
        for title, head, rows in (("Under load", CALM_HEAD, calm), ("While something is down", OUTAGE_HEAD, outages))
        if rows
    ]
    return "\n\n".join([*parts, NOTE])


def measured_of(comparison: Comparison) -> list[Scenario]:
    """Return the scenarios that were measured."""
    names = set(comparison.scenarios())
    return [each for each in SCENARIOS if each.name in names]


def calm_rows(comparison: Comparison, scenario: Scenario) -> Iterator[Row]:
    """Return a row for each style, and one for their ratios."""
    both = [figures_of(comparison.of(scenario.name, style)) for style in STYLES]
    for style, figures in zip(STYLES, both, strict=True):
        title = scenario.title if style == STYLES[0] else ""
        yield title, style, *(_number(value) for value in _values(figures))
    ratios = (_ratio(one, other) for one, other in zip(*map(_values, both), strict=True))
    yield "", "x", *ratios


def outage_rows(comparison: Comparison, scenario: Scenario) -> Iterator[Row]:
    """Return a row for each style."""
    for style in STYLES:
        figures = outage_figures_of(comparison.of(scenario.name, style))
        yield (
            scenario.title if style == STYLES[0] else "",
            style,
            f"{figures.down_for:.1f}",
            f"{figures.ended_meanwhile:.0%}",
            str(figures.waiting),
            *(f"{value:.1f}" for value in (figures.caught_up, figures.slowest, figures.books_p95)),
            str(figures.turned_away),
            str(figures.compensated),
        )


def _values(figures: Figures) -> Sequence[float | None]:
    times = (figures.p50_ms, figures.p95_ms, figures.p99_ms)
    books = (figures.books_p50_ms, figures.books_p95_ms)
    return figures.per_second, *times, figures.cpu_ms, *books, figures.undoing_p50_ms


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _ratio(one: float | None, other: float | None) -> str:
    return "" if not one or other is None else f"{other / one:.2f}"

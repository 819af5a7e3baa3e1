"""The most important plots as one SVG picture for each theme, for pages that can't include HTML."""

import re
from collections.abc import Iterator
from html import escape
from pathlib import Path

from bench.compare import plots, style
from bench.compare.results import Comparison
from bench.compare.scenarios import Scenario
from bench.compare.summary import measured_of
from bench.compare.svg import HEIGHT, WIDTH, text_at

CHOSEN = ("calm", "pagos-down", "broker-down")
OF_CPU = ("calm", "hot", "declines")  # scenarios; more would make this plot higher than the others
MARGIN, TITLE = 22, 30  # pixels around each plot, and for its name above it
COLUMNS = 2


def write_pictures(comparison: Comparison, folder: Path) -> None:
    """Write `compare-light.svg` and `compare-dark.svg` into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for theme in ("light", "dark"):
        (folder / f"compare-{theme}.svg").write_text(_picture(comparison, dark=theme == "dark"))


def _picture(comparison: Comparison, *, dark: bool) -> str:
    drawn = list(_plots(comparison))
    cell_width, cell_height = WIDTH + 2 * MARGIN, HEIGHT + TITLE + MARGIN
    width, height = COLUMNS * cell_width, -(-len(drawn) // COLUMNS) * cell_height + MARGIN  # rows: rounded up
    parts = []
    for place, (title, plot) in enumerate(drawn):
        left, top = place % COLUMNS * cell_width + MARGIN, place // COLUMNS * cell_height + MARGIN
        placed = plot.replace(
            "<svg ", f'<svg x="{left}" y="{top + TITLE}" width="{WIDTH}" height="{_height(plot)}" ', 1
        )
        parts.append(text_at(left, top + 16, title, "strong") + placed)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="Both styles compared"><style>{escape(style.plots_in(dark=dark), quote=False)}</style>'
        f'<rect width="{width}" height="{height}" fill="var(--card)"/>' + "".join(parts) + "</svg>\n"
    )


def _plots(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Return the plots by name, of the scenarios that were measured."""
    measured = {each.name: each for each in measured_of(comparison)}
    chosen: list[Scenario] = [measured[name] for name in CHOSEN if name in measured]
    calm = [each for each in chosen if not each.down]
    for scenario in calm:
        times = plots.pooled(comparison, scenario, lambda each: each.latencies)
        yield f"{scenario.title}: share of checkouts that took no longer", plots.distribution(scenario.title, times)
    if calm:
        of_cpu = [measured[name] for name in OF_CPU if name in measured]
        yield "CPU time of a checkout", plots.cpu(comparison, of_cpu)
    for scenario in chosen:
        if scenario.down:
            yield f"{scenario.title}: checkouts that came, and that ended", plots.outage(scenario, comparison)
    yield "For how long the services disagreed: p50 to p95", plots.books(comparison, chosen)


def _height(plot: str) -> str:
    """Return the height of a drawing, from its `viewBox`."""
    found = re.search(r'viewBox="0 0 \S+ (\S+)"', plot)
    return found[1] if found else str(HEIGHT)

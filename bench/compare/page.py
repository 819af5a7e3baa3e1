"""The report: one HTML page that loads nothing and needs no script, in a light and a dark theme."""

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from bench.compare import plots, style
from bench.compare.results import Comparison
from bench.compare.scenarios import STYLES, Scenario
from bench.compare.summary import CALM_HEAD, NOTE, OUTAGE_HEAD, Row, calm_rows, measured_of, outage_rows


def page_of(comparison: Comparison) -> str:
    """Return the HTML of the report."""
    measured = measured_of(comparison)
    calm = [scenario for scenario in measured if not scenario.down]
    outages = [scenario for scenario in measured if scenario.down]
    parts = [
        *_head(comparison),
        *(_calm(comparison, calm) if calm else ()),
        *(_outages(comparison, outages) if outages else ()),
        *_books(comparison, measured),
        *_how(comparison),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Two sagas compared</title>\n<style>{style.sheet()}</style>\n</head>\n"
        "<body><main>\n" + "\n".join(parts) + "\n</main></body>\n</html>\n"
    )


def _head(comparison: Comparison) -> Iterator[str]:
    yield f"<header><h1>One checkout, two sagas, compared</h1><p>{escape(comparison.options)}</p>"
    yield f"<p>{escape(comparison.machine)}, {escape(comparison.made_at)}</p></header>"
    sagas = sum(len(each.latencies) for each in comparison.rounds)
    if comparison.clean:
        yield f'<p class="notice clean">All {sagas} checkouts ended, and no money and no stock was lost or doubled.</p>'
    else:
        yield '<p class="notice broken">The audit found what should not be; see the end. The figures mean little.</p>'


def _calm(comparison: Comparison, scenarios: Sequence[Scenario]) -> Iterator[str]:
    yield "<h2>Under load</h2>"
    yield _table(CALM_HEAD, [row for each in scenarios for row in calm_rows(comparison, each)])
    yield '<div class="grid2">'
    yield _figure("Throughput", "Checkouts a second: the median, and each round", plots.rates(comparison, scenarios))
    yield _figure("CPU per saga", "Of all processes but the load's own driver", plots.cpu(comparison, scenarios))
    for scenario in scenarios:
        times = plots.pooled(comparison, scenario, lambda each: each.latencies)
        drawn = plots.distribution(f"{scenario.title}: time from request to end, share of checkouts by ms", times)
        yield _figure(f"{scenario.title}: how long a checkout takes", f"{scenario.told} Medians on top.", drawn)
    yield "</div>"


def _outages(comparison: Comparison, scenarios: Sequence[Scenario]) -> Iterator[str]:
    yield "<h2>While something is down</h2>"
    yield "<p>The distance between what came and what ended is what waits. Of each style the middle round is drawn; "
    yield "a strip on top is when something was down for it.</p>"
    yield _table(OUTAGE_HEAD, [row for each in scenarios for row in outage_rows(comparison, each)])
    yield '<div class="grid2">'
    for scenario in scenarios:
        yield _figure(scenario.title, scenario.told, plots.outage(scenario, comparison))
    yield "</div>"


def _books(comparison: Comparison, measured: Sequence[Scenario]) -> Iterator[str]:
    yield "<h2>While it isn't over</h2>"
    yield '<div class="grid2">'
    told = "From a saga's first effect to its end the services disagree: the median, and what one in twenty exceeds"
    yield _figure("Books open", told, plots.books(comparison, measured))
    undone = plots.pooled(comparison, measured[0], lambda each: each.ends.undoing)
    for scenario in measured:
        more = plots.pooled(comparison, scenario, lambda each: each.ends.undoing)
        undone = {name: undone[name] + more[name] for name in STYLES}
    if any(undone.values()):
        drawn = plots.distribution("Time from the refusal to the end, share of compensated sagas by ms", undone)
        yield _figure("Time to compensate", "From a step's refusal until all is undone. Medians on top.", drawn)
    yield "</div>"


def _how(comparison: Comparison) -> Iterator[str]:
    yield f'<h2>What is what</h2><p>{escape(NOTE)}</p><details class="wide"><summary>The audit</summary>'
    yield f"<pre>{escape(comparison.audit)}</pre></details>"


def _figure(title: str, told: str, drawn: str) -> str:
    return f"<figure><figcaption><b>{escape(title)}</b><span>{escape(told)}</span></figcaption>{drawn}</figure>"


def _table(head: Row, rows: Iterable[Row]) -> str:
    names = "".join(f'<th scope="col">{escape(each)}</th>' for each in head)
    lines = "".join(_line(row) for row in rows)
    return f'<div class="wide" tabindex="0"><table><thead><tr>{names}</tr></thead><tbody>{lines}</tbody></table></div>'


def _line(row: Row) -> str:
    title, name, *values = row
    cells = "".join(f"<td>{escape(each)}</td>" for each in values)
    key = f'<i class="{name}"></i>' if name in STYLES else ""
    css = "" if name in STYLES else ' class="ratio"'
    return f"<tr{css}><td>{escape(title)}</td><td>{key}{escape(name)}</td>{cells}</tr>"

"""The plots of a report, each drawn from its rounds."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median

from bench.compare.bars import bars, ranges, stacked
from bench.compare.figures import figures_of, middle
from bench.compare.results import Comparison, Round
from bench.compare.scenarios import STYLES, Scenario
from bench.compare.svg import Plot, Point, across, legend, short, upwards
from bench.cpu import SUPERVISOR
from shared.percentile import percentile

SHOWN = 0.995  # share of a distribution; the few slower times would compress the rest
LEGEND = tuple((style, style) for style in STYLES)
# The groups of components in a bar of CPU time, from the services that others call to the servers that all need.
OWNERS: Mapping[str, tuple[str, ...]] = {
    "sagas": ("saga_orchestrator", "saga_orchestrator-worker", "saga_choreography", "saga_choreography-worker"),
    "participants": ("carrito", "inventario", "pagos", "carrito-worker", "inventario-worker", "pagos-worker"),
    "PostgreSQL": ("postgres",),
    "RabbitMQ": ("rabbitmq",),
    "rest": ("dashboard", SUPERVISOR),
}


def distribution(title: str, values: Mapping[str, Sequence[float]]) -> str:
    """Draw the cumulative distribution of times, given in seconds by style."""
    shown = {style: sorted(each) for style, each in values.items() if each}
    low = min(each[0] for each in shown.values()) * 1000
    high = max(percentile(each, SHOWN * 100) for each in shown.values()) * 1000
    plot = Plot(title, across(low * 0.9, max(high, low * 1.1) * 1.05, log=True), upwards(0, 1), "ms", y_percent=True)
    for style, each in shown.items():
        plot.line(_steps([value * 1000 for value in each]), style)
    plot.parts += legend([(style, f"{style} {short(percentile(each, 50) * 1000)} ms") for style, each in shown.items()])
    return str(plot)


def _steps(values: Sequence[float]) -> list[Point]:
    """Return a hundred points of the cumulative distribution of these sorted values."""
    shares = [number / 100 for number in range(101)]
    return [(percentile(values, share * 100) if share else values[0], share) for share in shares]


def outage(scenario: Scenario, comparison: Comparison) -> str:
    """Draw the numbers of checkouts that had arrived and ended over time, in the median round of each style."""
    rounds = {style: middle(comparison.of(scenario.name, style)) for style in STYLES}
    courses = {style: each.course for style, each in rounds.items() if each.course is not None}
    end = max(max(course.ended) for course in courses.values())
    first = next(iter(courses.values()))
    plot = Plot(
        f"{scenario.title}: checkouts that had come and that had ended, by seconds",
        across(0, end * 1.02),
        upwards(0, len(first.arrived) * 1.15),
        "seconds since the first checkout came",
    )
    plot.line(_counted(first.arrived), "arrived")
    for place, (style, course) in enumerate(courses.items()):
        plot.strip(course.down, course.up, style, place)
        plot.line(_counted(sorted(course.ended)), style)
    plot.parts += legend([("arrived", "came"), *LEGEND])
    return str(plot)


def _counted(times: Sequence[float]) -> list[Point]:
    """Return a point for each of these sorted times: the time, and how many are not later."""
    return [(0, 0), *((time, float(count)) for count, time in enumerate(times, 1))]


def rates(comparison: Comparison, scenarios: Iterable[Scenario]) -> str:
    """Draw the checkouts per second of each round."""
    groups = _by_style(comparison, scenarios, lambda each: len(each.latencies) / each.seconds)
    return bars("Checkouts a second, by scenario and style", groups, "/s")


def cpu(comparison: Comparison, scenarios: Iterable[Scenario]) -> str:
    """Draw the CPU time per checkout by group of components, of each the median over the rounds."""
    groups = {
        scenario.title: {
            style: {name: _cpu_of(comparison.of(scenario.name, style), parts) for name, parts in OWNERS.items()}
            for style in STYLES
        }
        for scenario in scenarios
    }
    return stacked("CPU time of a checkout, by scenario, style and component", groups, "ms")


def _cpu_of(rounds: Sequence[Round], components: Iterable[str]) -> float:
    shares = [sum(each.cpu.get(name, 0) for name in components) / len(each.latencies) for each in rounds]
    return median(shares) * 1000


def books(comparison: Comparison, scenarios: Iterable[Scenario]) -> str:
    """Draw how long the services disagreed about a saga: the medians over the rounds of median and 95th percentile."""
    groups = {
        scenario.title: {
            style: (figures.books_p50_ms or 0, figures.books_p95_ms or 0)
            for style in STYLES
            for figures in [figures_of(comparison.of(scenario.name, style))]
        }
        for scenario in scenarios
    }
    return ranges("Time from a saga's first effect to its end, p50 and p95, by scenario and style", groups)


def pooled(
    comparison: Comparison, scenario: Scenario, times: Callable[[Round], Sequence[float]]
) -> dict[str, list[float]]:
    """Return the times of all rounds together, by style."""
    return {style: [time for each in comparison.of(scenario.name, style) for time in times(each)] for style in STYLES}


def _by_style(
    comparison: Comparison, scenarios: Iterable[Scenario], value: Callable[[Round], float]
) -> dict[str, dict[str, list[float]]]:
    return {
        scenario.title: {style: [value(each) for each in comparison.of(scenario.name, style)] for style in STYLES}
        for scenario in scenarios
    }

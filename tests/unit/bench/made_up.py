"""Made-up rounds of a comparison."""

from bench.compare.results import Comparison, Course, Ends, Round
from bench.compare.scenarios import SCENARIOS, STYLES, Scenario

SLOWER = {"orchestrated": 1.0, "choreographed": 1.5}


def course(*ends: float, down: float = 2, up: float = 6) -> Course:
    """Make a course with one arrival per second and these ends."""
    return Course(down, up, tuple(float(second) for second in range(len(ends))), ends, turned_away=0)


def made_round(scenario: Scenario, style: str, times: float = 1.0) -> Round:
    """Make a round whose times are those of its style, multiplied by `times`."""
    slow = SLOWER[style] * times
    latencies = tuple(0.01 * slow * number for number in range(1, 21))
    refused = 1 if scenario.share else 0
    ends = Ends(20 - refused, refused, latencies, (0.05 * slow,) * refused)
    if scenario.down:
        down = course(*(second + 8 * slow if 1 < second < 6 else second + slow / 10 for second in range(20)))
        return Round(scenario.name, style, 20, latencies, ends, {}, down)
    return Round(scenario.name, style, slow, latencies, ends, {"carrito": 0.1 * slow, "postgres": 0.05})


def comparison(*, rounds: int = 3, machine: str = "2 cores", clean: bool = True) -> Comparison:
    """Make a comparison with all scenarios."""
    made = [
        made_round(scenario, style, 1 + number / 10)
        for scenario in SCENARIOS
        for number in range(rounds)
        for style in STYLES
    ]
    return Comparison("2026-01-01T00:00:00+00:00", machine, "As told.", tuple(made), "All 30 rules hold.", clean)

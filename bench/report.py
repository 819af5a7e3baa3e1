"""The results: a table for people, JSON for programs."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bench import targets
from bench.figures import ALL, Figures
from bench.plan import Case, Plan
from stack.table import paint, table

HEAD = (
    "in flight",
    "style",
    "sagas/s",
    "",
    "p50 ms",
    "p95 ms",
    "p99 ms",
    "CPU ms",
    "",
    "HTTP",
    "statements",
    "commits",
    "WAL kB",
    "messages",
)
NOTE = """\
x: by the baseline's, which makes the same four calls without any durability. CPU: per saga, over all processes.
Per saga, too: HTTP requests that services answered; statements, if PostgreSQL has pg_stat_statements; commits of
transactions that wrote; messages published."""


@dataclass(frozen=True)
class Results:
    """The figures of all cases, and the messages published per saga of each style, where they could be counted."""

    plan: Plan
    figures: Mapping[Case, Figures]
    messages: Mapping[str, float]

    def ratio(self, case: Case, name: str) -> float | None:
        """Return the ratio of a figure to the baseline's under the same load.

        None where the baseline's was not measured, or is too small: CPU time is counted in ticks, often of 10 ms.
        """
        base = self.figures.get(Case(case.load, case.concurrency, "baseline"))
        of_base = base and _value(base, name)
        return _value(self.figures[case], name) / of_base if of_base else None

    def as_json(self) -> dict[str, Any]:
        """Return all results as JSON, with the names of `Figures`."""
        return {
            "plan": asdict(self.plan),
            "results": [
                {
                    **asdict(case),
                    "sagas": self.plan.sagas_at(case.concurrency),
                    **asdict(figures),
                    "messages_published": self.messages.get(case.style),
                    "ratio_to_baseline": {
                        name: self.ratio(case, name) for name in ("sagas_per_second", "p50_ms", "cpu_ms")
                    },
                }
                for case, figures in self.figures.items()
            ],
        }

    def __str__(self) -> str:
        loads = self.plan.loads
        compared = targets.as_table(self.figures)
        return "\n\n".join([*map(self._of_load, loads), *map(self._cpu_of_load, loads), NOTE, *compared])

    def _of_load(self, load: str) -> str:
        cases = [case for case in sorted(self.figures, key=self._order) if case.load == load]
        title = {"spread": "Many products", "hot": "One hot product"}[load]
        return "\n".join([paint(title, "bold"), *table([HEAD, *map(self._row, cases)])])

    def _row(self, case: Case) -> tuple[str, ...]:
        figures, messages = self.figures[case], self.messages.get(case.style)
        return (
            str(case.concurrency),
            case.style,
            f"{figures.sagas_per_second:.0f}",
            self._times(case, "sagas_per_second"),
            *(f"{value:.1f}" for value in (figures.p50_ms, figures.p95_ms, figures.p99_ms, figures.cpu_ms[ALL])),
            self._times(case, "cpu_ms"),
            f"{figures.http_requests:.1f}",
            "-" if figures.statements is None else f"{figures.statements:.1f}",
            f"{figures.writing_transactions:.1f}",
            f"{figures.wal_kilobytes:.1f}",
            "-" if messages is None else f"{messages:.1f}",
        )

    def _times(self, case: Case, name: str) -> str:
        ratio = self.ratio(case, name)
        return "" if ratio is None or case.style == "baseline" else f"x {ratio:.2f}"

    def _cpu_of_load(self, load: str) -> str:
        cases = [case for case in sorted(self.figures, key=self._order) if case.load == load]
        title = paint(f"CPU ms per saga by component, {load}", "bold")
        head = ("", *(f"{case.style[:4]} {case.concurrency}" for case in cases))
        return "\n".join([title, *table([head, *self._components(cases)])])

    def _components(self, cases: list[Case]) -> Iterator[tuple[str, ...]]:
        for component in dict.fromkeys(name for case in cases for name in self.figures[case].cpu_ms):
            yield component, *(f"{self.figures[case].cpu_ms.get(component, 0.0):.2f}" for case in cases)

    def _order(self, case: Case) -> tuple[str, int, int]:
        return case.load, case.concurrency, self.plan.styles.index(case.style)


def _value(figures: Figures, name: str) -> float:
    value = getattr(figures, name)
    return float(value[ALL] if name == "cpu_ms" else value)

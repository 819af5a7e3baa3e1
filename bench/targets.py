"""What the project aims at, as ratios within one run, beside what was measured."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bench.figures import Figures
from bench.plan import Case

HEAD = ("in flight", "style", "figure", "measured", "target")
HOT_TO_SPREAD = 0.9  # of the rate with many products, at least


@dataclass(frozen=True)
class Target:
    """A bound on the ratio of a style's figure to another style's, under the load of many products."""

    style: str
    concurrency: int
    to: str
    bound: float
    figure: str = "sagas_per_second"

    @property
    def text(self) -> str:
        """The bound; a time is to be at most so much, a rate at least."""
        return f"{'<=' if self.figure == 'p50_ms' else '>='} {self.bound:g}"

    def measured(self, figures: Mapping[Case, Figures]) -> float | None:
        """Return the ratio of the medians; None where one of the two was not measured."""
        ours = figures.get(Case("spread", self.concurrency, self.style))
        other = figures.get(Case("spread", self.concurrency, self.to))
        if ours is None or other is None:
            return None
        return float(getattr(ours, self.figure) / getattr(other, self.figure))


TARGETS = (
    Target("orchestrated", 1, "baseline", 2, "p50_ms"),
    Target("orchestrated", 8, "baseline", 0.8),
    Target("orchestrated", 32, "baseline", 1.3),
    Target("orchestrated", 32, "dbos", 4.5),
    Target("orchestrated", 128, "baseline", 2.1),
    Target("orchestrated", 128, "dbos", 7),
    Target("choreographed", 1, "baseline", 2.5, "p50_ms"),
    Target("choreographed", 8, "baseline", 0.65),
    Target("choreographed", 32, "baseline", 1),
    Target("choreographed", 32, "dbos", 3.5),
    Target("choreographed", 128, "baseline", 1.6),
)


def as_table(figures: Mapping[Case, Figures]) -> list[str]:
    """Return a table in Markdown of the targets that were measured; nothing when there are none."""
    rows = [*_of_styles(figures), *_of_hot(figures)]
    if not rows:
        return []
    lines = [HEAD, ("---",) * len(HEAD), *rows]
    return ["\n".join(f"| {' | '.join(line)} |" for line in lines)]


def _of_styles(figures: Mapping[Case, Figures]) -> Iterator[tuple[str, ...]]:
    for target in TARGETS:
        ratio = target.measured(figures)
        if ratio is not None:
            name = "time" if target.figure == "p50_ms" else "rate"
            what = f"{name} to {target.to}'s"
            yield str(target.concurrency), target.style, what, f"{ratio:.2f}", target.text


def _of_hot(figures: Mapping[Case, Figures]) -> Iterator[tuple[str, ...]]:
    for case, hot in sorted(figures.items()):
        spread = figures.get(Case("spread", case.concurrency, case.style))
        if case.load == "hot" and spread and case.style in {target.style for target in TARGETS}:
            ratio = hot.sagas_per_second / spread.sagas_per_second
            what = "rate of one hot product to many products'"
            yield str(case.concurrency), case.style, what, f"{ratio:.2f}", f">= {HOT_TO_SPREAD:g}"

"""Runs the plan: each round fills carts, measures their checkouts, and compensates those that were no sagas."""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from bench import cpu
from bench.checkouts import Checkout, Mix, make_checkouts
from bench.client import Client, Json, UnexpectedAnswer
from bench.counts import Counters
from bench.figures import Figures, figures_of, medians, used
from bench.load import drive
from bench.plan import Case, Plan
from bench.progress import Progress
from bench.styles import NO_SAGAS, STYLES
from bench.undo import undo
from stack.meters import Postgres, RabbitMQ

HELPERS = 8  # threads that make carts
WARM_UP_CONCURRENCY = 8
QUIET_SECONDS = 0.5  # after a round, so that its delayed writes are counted with it


@dataclass
class Bench:
    """The running stack, measured; messages are counted only with a `rabbitmq` that the stack started."""

    urls: Mapping[str, str]
    counters: Counters
    components: Mapping[int, str]
    postgres: Postgres
    rabbitmq: RabbitMQ | None
    products: Mapping[str, Sequence[Json]]
    clients: list[Client] = field(default_factory=list)

    def run(self, plan: Plan, progress: Progress) -> dict[Case, Figures]:
        """Run every case of the plan; return the median of each figure over its rounds."""
        rounds: defaultdict[Case, list[Figures]] = defaultdict(list)
        for case in plan.cases():
            progress.show(str(case))
            rounds[case].append(self.round(case, plan))
            progress.advance()
        return {case: medians(figures) for case, figures in rounds.items()}

    def warm_up(self, plan: Plan, progress: Progress) -> dict[str, float]:
        """Run a round of each style without measuring it; return the messages published per saga, by style.

        Their number does not depend on the load.
        """
        counted = {}
        before = self.rabbitmq and self.rabbitmq.messages()
        for style in plan.styles:
            progress.show(f"{style}, warming up")
            self.round(Case(plan.loads[0], WARM_UP_CONCURRENCY, style), plan)
            if self.rabbitmq and before:
                after = self.rabbitmq.messages()
                published, before = (after - before).published, after
                counted[style] = published / plan.sagas_at(WARM_UP_CONCURRENCY)
            progress.advance()
        return counted

    def round(self, case: Case, plan: Plan) -> Figures:
        """Run one round and return its figures."""
        sagas = plan.sagas_at(case.concurrency)
        checkouts = make_checkouts(self._clients(HELPERS), self.products[case.load], sagas, Mix(plan.declines))
        try:
            figures = self._measured(case, checkouts)
        except BaseException:
            with suppress(UnexpectedAnswer):  # of checkouts that never ran; the error above is the one to see
                self._undo(case, checkouts)
            raise
        self._undo(case, checkouts)
        return figures

    def _undo(self, case: Case, checkouts: Sequence[Checkout]) -> None:
        if case.style in NO_SAGAS:
            undo(checkouts, self.clients[0])

    def _measured(self, case: Case, checkouts: Sequence[Checkout]) -> Figures:
        way, _ = STYLES[case.style]
        clients = self._clients(case.concurrency)
        counts_before = self.counters.read()
        cpu_before = self._cpu_seconds()
        driven = drive(checkouts, clients, way)
        time.sleep(QUIET_SECONDS)
        cpu_used = used(cpu_before, self._cpu_seconds())
        return figures_of(driven.seconds, driven.latencies, cpu_used, self.counters.read().since(counts_before))

    def _cpu_seconds(self) -> dict[str, float]:
        return cpu.cpu_seconds(cpu.with_backends(self.components, self.postgres.backends()))

    def close(self) -> None:
        """Close all connections."""
        self.postgres.close()
        for client in self.clients:
            client.close()

    def _clients(self, count: int) -> list[Client]:
        """Return this many clients; their connections are kept for later rounds."""
        self.clients += [Client(self.urls) for _ in range(count - len(self.clients))]
        return self.clients[:count]

"""Runs the scenarios: each round fills carts, runs the load, and reads from the saga services how the sagas ended."""

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from bench import cpu
from bench.checkouts import Checkout, Mix, make_checkouts
from bench.client import Client, Json
from bench.compare.arrivals import Arrivals
from bench.compare.private_stack import PrivateStack
from bench.compare.results import Course, Round
from bench.compare.scenarios import LOST, Extent, Scenario
from bench.compare.told import at, ended_sagas, ends_of
from bench.figures import used
from bench.load import drive
from bench.progress import Progress
from bench.rounds import HELPERS, QUIET_SECONDS
from bench.styles import STYLES
from shared.ids import new_id
from stack.demo.shop import CHOREOGRAPHED, ORCHESTRATED, Style

STYLE_OF: Mapping[str, Style] = {each.name: each for each in (ORCHESTRATED, CHOREOGRAPHED)}
ARRIVING = 32  # clients; more than arrive while one request is refused
WARM_UP = Scenario("warm-up", "", "")


@dataclass
class Measurement:
    """The measurements on a running stack; `products` are by load."""

    stack: PrivateStack
    products: Mapping[str, Sequence[Json]]
    extent: Extent
    clients: list[Client] = field(default_factory=list)

    def run(self, progress: Progress) -> Iterator[Round]:
        """Yield every round of every scenario, after a warm-up round of each style."""
        for style in STYLE_OF.values():
            self._calm(WARM_UP, style)
        for scenario, name in self.extent.cases():
            progress.show(f"{name}, {scenario.title.lower()}")
            run = self._with_outage if scenario.down else self._calm
            yield run(scenario, STYLE_OF[name])
            progress.advance()

    def close(self) -> None:
        """Close all connections."""
        for client in self.clients:
            client.close()

    def _calm(self, scenario: Scenario, style: Style) -> Round:
        checkouts = self._checkouts(scenario, self.extent.sagas)
        clients = self._clients(self.extent.in_flight)
        self._switch_faults_on(scenario)
        components = cpu.components(self.stack.home)
        before = cpu.cpu_seconds(components)
        driven = drive(checkouts, clients, STYLES[style.name][0])
        time.sleep(QUIET_SECONDS)
        spent = used(before, cpu.cpu_seconds(components))
        spent.pop(cpu.DRIVER)
        self._switch_faults_off(scenario)
        sagas = ended_sagas(clients[0], style, checkouts[0].user_id, len(checkouts))
        ends = ends_of(clients[0], style, sagas)
        return Round(scenario.name, style.name, driven.seconds, tuple(driven.latencies), ends, spent)

    def _with_outage(self, scenario: Scenario, style: Style) -> Round:
        extent = self.extent
        checkouts = self._checkouts(scenario, round(extent.per_second * extent.seconds))
        clients = self._clients(ARRIVING)
        arrivals = Arrivals(checkouts, style, extent.per_second)
        began = arrivals.began
        with ThreadPoolExecutor(1) as thread:
            served = thread.submit(arrivals.serve, clients)
            down, up = self._outage(scenario, began)
            served.result()
        sagas = ended_sagas(clients[0], style, checkouts[0].user_id, len(checkouts))
        sagas.sort(key=lambda saga: arrivals.arrived[saga["saga_id"]])
        arrived = tuple(arrivals.arrived[saga["saga_id"]] - began for saga in sagas)
        ended = tuple(at(saga["ended_at"]) - began for saga in sagas)
        latencies = tuple(end - start for start, end in zip(arrived, ended, strict=True))
        course = Course(down - began, up - began, arrived, ended, arrivals.turned_away)
        ends = ends_of(clients[0], style, sagas)
        return Round(scenario.name, style.name, max(ended), latencies, ends, {}, course)

    def _outage(self, scenario: Scenario, began: float) -> tuple[float, float]:
        """Stop the scenario's processes and start them again; return when they had ended and when they worked again."""
        time.sleep(max(0.0, began + self.extent.down_after - time.time()))
        self.stack.stop(scenario.down)
        down = time.time()
        time.sleep(self.extent.down_for)
        self.stack.start(scenario.down)
        return down, time.time()

    def _checkouts(self, scenario: Scenario, count: int) -> list[Checkout]:
        user_id = f"compare-{new_id()}"  # the round's own user, by whom its sagas are listed
        mix = Mix(scenario.share, scenario.method, user_id=user_id)
        return make_checkouts(self._clients(HELPERS), self.products[scenario.load], count, mix)

    def _switch_faults_on(self, scenario: Scenario) -> None:
        if scenario.loses_answers:
            body = {"step": "process_payment", "times": 1, "match": {"payment_method": LOST}}
            self.clients[0].put("pagos", "/faults/lose_answer", body)

    def _switch_faults_off(self, scenario: Scenario) -> None:
        if scenario.loses_answers:
            self.clients[0].delete("pagos", "/faults")

    def _clients(self, count: int) -> list[Client]:
        """Return this many clients; their connections are kept for later rounds."""
        self.clients += [Client(self.stack.urls) for _ in range(count - len(self.clients))]
        return self.clients[:count]

"""1, 2, 4 of each process on one PostgreSQL and one RabbitMQ: what they do in vain, and what is done twice.

Everything is counted exactly, also what killed processes did: from their logs (`LOG_LEVEL=DEBUG`), from PostgreSQL's
tables, and by queues that get a copy of all that is published. RabbitMQ's own statistics are of no use here: they
forget what a connection did in its last seconds.
"""

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, fields

from sqlalchemy import Connection, create_engine, text

from saga_orchestrator.orchestrator import CHECKOUT
from shared.auditing.findings import Findings
from shared.event_bus import bindings
from shared.testing import wait_until
from stack.audit import run as audit
from stack.table import table
from tests.e2e.customers import CUSTOMERS, Customers, Tally
from tests.e2e.shop import CARRITO, CHOREOGRAPHY, HANG_SECONDS, INVENTARIO, PAGOS, QUICK, Shop
from tests.system.queues import Queues

# Leases are the product's own, and calls may take long, so that on a busy machine nothing is repeated for another
# reason than a kill. Nobody's checkout is turned back because much is killed at once.
ENV = {
    **QUICK,
    "LOG_LEVEL": "DEBUG",
    "LEASE_SECONDS": "30",
    "CALL_SECONDS": "30",
    "FORWARD_DEADLINE_SECONDS": "900",
    "WEB_THREADS": "4",
}
CALM, STRUCK = "calm", "killed and stopped"
# The commands that a saga may have sent since its state was last stored: each step, and as many back.
MOST_COMMANDS = 2 * len(list(CHECKOUT.all_steps))
# What each service stores of an event that it takes for the first time.
_TAKEN = {
    CARRITO: "SELECT count(*) FROM carrito.inbox",
    INVENTARIO: "SELECT count(*) FROM inventario.inbox",
    PAGOS: "SELECT count(*) FROM pagos.inbox",
    CHOREOGRAPHY: "SELECT count(*) FROM saga_choreography.events",
}
_SAGAS = """
SELECT (SELECT count(*) FROM saga_orchestrator.sagas WHERE ended_at IS NOT NULL)
    + (SELECT count(*) FROM saga_choreography.sagas WHERE ended_at IS NOT NULL)
"""
# A saga that was accepted under a lease begins with token 1, one that was accepted without with 0.
_LEASES = "SELECT coalesce(sum(fencing_token), 0), count(*) FROM saga_orchestrator.sagas"
_UNANSWERED = "SELECT count(*) FROM saga_orchestrator.timeline WHERE outcome = 'unknown'"


@dataclass(frozen=True)
class Counts:
    """What was done; since a shop's beginning, or between two times."""

    sagas: int  # that ended
    claims: int  # times that an executor looked for due sagas
    empty_claims: int  # that found none, since none was due or others had them
    leases: int  # given out, by the executor that accepted a saga or by a claim
    orchestrated: int  # sagas
    leases_lost: int  # sagas that an executor went on with although another had claimed them
    freed: int  # sagas whose executor was gone
    repeated_commands: int  # that a participant's barrier knew, since they had been done (see `_repeated`)
    unanswered: int  # commands of which the executor did not know whether they were done
    repeated_events: int  # that an inbox, or the read model, dropped
    redelivered: int  # messages that a consumer had when it ended
    published_again: int  # copies of an event that a publisher had not marked as sent when it ended

    def __sub__(self, before: "Counts") -> "Counts":
        return Counts(**{each.name: getattr(self, each.name) - getattr(before, each.name) for each in fields(self)})

    @property
    def taken_over(self) -> int:
        """Leases beyond the first of each saga."""
        return self.leases - self.orchestrated


@dataclass(frozen=True)
class Stage:
    """A part of a run: so many of each process, calm or under kills, and what was done meanwhile."""

    copies: int
    kind: str
    counts: Counts
    seconds: float  # between the two readings of the counts, of which some are idle

    @property
    def wrong(self) -> list[str]:
        """What was done twice although nobody can have had it under way when it was killed."""
        counts = self.counts
        commands = 0 if self.kind == CALM else MOST_COMMANDS * counts.taken_over + counts.unanswered
        found = [*_above("leases lost", counts.leases_lost, 0)]
        found += _above("repeated commands", counts.repeated_commands, commands)
        if self.kind == CALM:
            found += _above("repeated events", counts.repeated_events, max(0, counts.published_again))
        return [f"{self.copies} of each, {self.kind}: {each}" for each in found]


@dataclass
class Report:
    """What became of a run."""

    tally: Tally
    findings: Findings
    stages: list[Stage] = field(default_factory=list)

    @property
    def wrong(self) -> list[str]:
        """What is not as it should be; empty if all is."""
        found = [each for stage in self.stages for each in stage.wrong]
        # Of all stages together: what was published again at the end of one may be handled in the next.
        repeated, redelivered, again = (
            sum(getattr(stage.counts, name) for stage in self.stages)
            for name in ("repeated_events", "redelivered", "published_again")
        )
        found += _above("repeated events", repeated, redelivered + again)
        found += [] if self.tally.clean else [str(self.tally)]
        return found if self.findings.clean else [*found, audit.report(self.findings)]

    def __str__(self) -> str:
        rows = [
            ["of each process", *(str(stage.copies) for stage in self.stages)],
            ["", *(stage.kind for stage in self.stages)],
            ["seconds", *(f"{stage.seconds:.1f}" for stage in self.stages)],
        ]
        rows += [
            [name.replace("_", " "), *(str(getattr(stage.counts, name)) for stage in self.stages)]
            for name in (*(each.name for each in fields(Counts)), "taken_over")
        ]
        return "\n".join([*table(rows), *self.wrong])


def _above(name: str, done: int, under_way: int) -> list[str]:
    return [f"{name}: {done} > {under_way}"] if done > under_way else []


def processes(copies: int) -> Mapping[str, int]:
    """So many of each."""
    return dict.fromkeys((*_TAKEN, "saga_orchestrator"), copies) | dict.fromkeys(
        (f"{name}-worker" for name in (*_TAKEN, "saga_orchestrator")), copies
    )


def numbered(numbers: Sequence[int]) -> list[str]:
    """The names of the copies with these numbers, of each process."""
    return [f"{name}-{number}" for number in numbers for name in processes(0)]


class Meter:
    """Counts what was done in a shop so far."""

    def __init__(self, shop: Shop, rabbitmq_url: str) -> None:
        self._shop, self._queues = shop, Queues(rabbitmq_url)
        for service, keys in bindings().items():
            self._queues.tap(_copies(service), *keys)

    def read(self) -> Counts:
        """What was done until now. The difference between two readings counts; copies of earlier events are missing."""
        claims = [int(each["sagas"]) for each in self._shop.system.logged("claimed")]
        engine = create_engine(self._shop.database_url)
        with engine.connect() as connection:
            taken = {service: _number(connection, query) for service, query in _TAKEN.items()}
            leases, orchestrated = connection.execute(text(_LEASES)).one()
            counts = Counts(
                sagas=_number(connection, _SAGAS),
                claims=len(claims),
                empty_claims=claims.count(0),
                leases=int(leases),
                orchestrated=int(orchestrated),
                leases_lost=self._sum("lease lost"),
                freed=self._sum("an executor is gone", "sagas"),
                repeated_commands=self._repeated(),
                unanswered=_number(connection, _UNANSWERED),
                repeated_events=self._sum("repeated events", "events"),
                redelivered=self._sum("redelivered"),
                published_again=sum(self._queues.depth(_copies(service)) - count for service, count in taken.items()),
            )
        engine.dispose()
        return counts

    def _repeated(self) -> int:
        """Without compensations of `create_order`, which is undone in two commands: the order's, then the cart's.

        Nor are those counted that need no barrier of their own, but one conditional update: commit and confirm.
        """
        entries = self._shop.system.logged("repeated commands")
        twice_by_design = ("create_order", "compensation")
        return sum(int(each["sagas"]) for each in entries if (each["step"], each["direction"]) != twice_by_design)

    def _sum(self, event: str, name: str = "") -> int:
        return sum(int(entry[name]) if name else 1 for entry in self._shop.system.logged(event))


def _copies(service: str) -> str:
    """The queue that gets a copy of every message for this service."""
    return f"copies.{service}"


def _number(connection: Connection, query: str) -> int:
    return int(connection.scalar(text(query)) or 0)


def run(
    shop: Shop,
    meter: Meter,
    growth: Sequence[int],
    checkouts: int,
    *,
    chance: random.Random,
    tell: Callable[[str], None] = lambda _: None,
) -> Report:
    """Grow the shop from one of each process to so many; at each size, so many checkouts twice: calm, and under kills.

    What is added is added in mid-load, too.
    """
    customers = Customers(shop, chance, 2 * len(growth) * checkouts)
    load = _Load(shop, customers, checkouts)
    stages: list[Stage] = []
    running = 1
    before, began = meter.read(), time.monotonic()
    for copies in growth:
        for kind in (CALM, STRUCK):
            if kind == CALM:
                load.calm(numbered(range(running + 1, copies + 1)))
            else:
                load.struck(copies)
            shop.until_quiet()
            after, ended = meter.read(), time.monotonic()
            stages.append(Stage(copies, kind, after - before, ended - began))
            tell(f"{copies} of each, {kind}: {stages[-1].counts}")
            running, before, began = copies, after, ended
    return Report(customers.tally(), audit.check(shop.urls, wait_seconds=HANG_SECONDS, full=True), stages)


class _Load:
    """Checkouts of both styles, and what happens to the processes in their midst."""

    def __init__(self, shop: Shop, customers: Customers, checkouts: int) -> None:
        """So many checkouts in each stage."""
        self._shop, self._customers, self._checkouts = shop, customers, checkouts
        self._purchases = iter(customers.purchases)

    def calm(self, added: Sequence[str]) -> None:
        """Meanwhile these are started."""
        for _ in self._parts(2):
            self._start(added)
            added = ()

    def struck(self, copies: int) -> None:
        """Meanwhile one copy of each process is killed, another one is stopped, and both are started again.

        Killed is the oldest one, which has most of the connections that are kept open, and so most of the work.
        """
        killed, stopped = numbered([1]), numbered([copies])
        system = self._shop.system
        for part in self._parts(4):
            if part == 0:
                for name in killed:
                    system.kill(name)
                if copies == 1:
                    self._start(killed)
            elif part == 1:
                self._start([name for name in killed if not system.alive(name)])
                for name in stopped:
                    assert system.stop(name) == 0
                if copies == 1:
                    self._start(stopped)
            elif part == 2:
                self._start([name for name in stopped if not system.alive(name)])

    def _parts(self, count: int) -> Iterator[int]:
        """Check out; yield when the first part of so many is served, and so on; return when all are."""
        pool = ThreadPoolExecutor(CUSTOMERS)
        try:
            served: list[Future[None]] = [
                pool.submit(self._customers.insist, next(self._purchases)) for _ in range(self._checkouts)
            ]
            for part in range(count):
                last = served[(part + 1) * len(served) // count - 1]
                wait_until(last.done, "a part of the checkouts is accepted", HANG_SECONDS)
                yield part
            for each in served:
                each.result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _start(self, names: Sequence[str]) -> None:
        for name in names:
            self._shop.system.start(name)
        for name in names:
            self._shop.system.wait_healthy(name)

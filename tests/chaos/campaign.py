"""Checkouts of every kind in both styles, under one fault after the other, and their results."""

import random
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise

from shared.auditing.findings import Findings
from shared.testing import wait_until
from stack.audit import run as audit
from tests.chaos.faults import Fault
from tests.e2e.customers import CUSTOMERS, Customers, Tally
from tests.e2e.shop import CHOREOGRAPHY, HANG_SECONDS, QUICK, Shop

# No deadline turns a checkout back because a fault takes long, so every customer who can be served must be.
ENV = {**QUICK, "FORWARD_DEADLINE_SECONDS": "900"}
PER_FAULT = 10  # checkouts
DIED = "worker died before it committed, acknowledged or marked"


@dataclass
class Report:
    """What was done, and the results."""

    checkouts: int
    tally: Tally
    findings: Findings
    faults: Counter[str] = field(default_factory=Counter)
    ended_unexpectedly: Counter[str] = field(default_factory=Counter)  # processes
    dead_letters: int = 0

    @property
    def clean(self) -> bool:
        """Whether nothing went wrong."""
        return self.tally.clean and self.findings.clean and not self.ended_unexpectedly and not self.dead_letters

    def __str__(self) -> str:
        tally = self.tally
        lines = [f"{count:6} {kind}" for kind, count in sorted(self.faults.items())]
        lines.append(f"{sum(self.faults.values()):6} faults\n")
        lines += [f"{count:6} {style}, {what}" for (style, what), count in sorted(tally.outcomes.items())]
        lines.append(f"{self.checkouts:6} checkouts; {tally.from_wallets} were paid from wallets\n")
        for name in ("lost", "doubled", "stuck", "wrong", "books"):
            found = getattr(tally, name)
            lines += [f"{len(found):6} {name}", *(f"         {each}" for each in found)]
        lines += [f"{count:6} times ended by itself: {name}" for name, count in self.ended_unexpectedly.items()]
        return "\n".join([*lines, f"{self.dead_letters:6} dead letters\n", audit.report(self.findings)])


def run(
    shop: Shop,
    faults: Iterable[Fault],
    checkouts: int,
    chance: random.Random,
    tell: Callable[[str], None] = lambda _: None,
) -> Report:
    """Run so many checkouts, half of them in each style, with a fault during every few of them."""
    customers = Customers(shop, chance, checkouts)
    struck, ended = Counter[str](), Counter[str]()
    count = max(1, checkouts // PER_FAULT)
    parts = pairwise(number * checkouts // count for number in range(count + 1))
    served: list[Future[None]] = []
    with ThreadPoolExecutor(CUSTOMERS) as pool:
        for fault, (start, end) in zip(faults, parts, strict=False):
            served += [pool.submit(customers.insist, purchase) for purchase in customers.purchases[start:end]]
            wait_until(served[(start + end) // 2].done, "some are served, and others wait", HANG_SECONDS)
            ended.update(shop.ended_unexpectedly())
            struck[DIED] += len(shop.revive())
            tell(f"{end}/{checkouts} {fault.kind}")
            fault.strike()
            struck[fault.kind] += 1
            customers.change_a_mind()
    for each in served:
        each.result()
    ended.update(shop.ended_unexpectedly())
    struck[DIED] += len(shop.revive())
    shop.mend()
    shop.until_well()
    tally = customers.tally()
    findings = audit.check(shop.urls, wait_seconds=HANG_SECONDS, full=True)
    letters = shop.get(CHOREOGRAPHY, "/saga/choreography/dead-letters").body["items"]
    return Report(checkouts, tally, findings, struck, ended, len(letters))

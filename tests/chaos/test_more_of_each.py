"""Two of each process side by side, added, killed and stopped in mid-load; `make chaos` does it with up to four."""

import random
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest

from shared.auditing.findings import Examined, Findings
from tests.chaos import scaling
from tests.chaos.scaling import CALM, STRUCK, Counts
from tests.e2e.customers import Tally
from tests.e2e.shop import Shop
from tests.system.temporal import TEMPORAL, engine_of_run

CHECKOUTS = 40  # in each stage
SEED = 9  # with so few checkouts: of carts for which either wallet has enough


@pytest.mark.skipif(engine_of_run() == TEMPORAL, reason="counts leases of the built-in engine")
def test_processes_that_are_added_and_killed_do_nothing_twice_but_what_the_killed_had_under_way(
    start_system: Callable[..., Any], fresh_database_url: str, rabbitmq_url: str
) -> None:
    system = start_system(
        rabbitmq_url=rabbitmq_url, copies=scaling.processes(2), standby=scaling.numbered([2]), env=scaling.ENV
    )
    shop = Shop(system, fresh_database_url)
    report = scaling.run(shop, scaling.Meter(shop, rabbitmq_url), (2,), CHECKOUTS, chance=random.Random(SEED))
    assert not report.wrong, str(report)


NOTHING = Counts(**{each.name: 0 for each in fields(Counts)})
NONE_BROKEN = Findings((), Examined(), full=True)
A_TAKEOVER = replace(NOTHING, leases=11, orchestrated=10)


@pytest.mark.parametrize(
    ("kind", "counts", "wrong"),
    [
        (CALM, replace(NOTHING, claims=5, empty_claims=5), 0),
        (CALM, replace(A_TAKEOVER, repeated_commands=1), 1),
        (CALM, replace(NOTHING, repeated_events=1, redelivered=1), 1),
        (CALM, replace(NOTHING, leases_lost=1), 1),
        (STRUCK, replace(A_TAKEOVER, repeated_commands=scaling.MOST_COMMANDS), 0),
        (STRUCK, replace(A_TAKEOVER, repeated_commands=scaling.MOST_COMMANDS + 1), 1),
        (STRUCK, replace(NOTHING, repeated_commands=2, unanswered=2), 0),
        (STRUCK, replace(NOTHING, repeated_events=3, redelivered=1, published_again=2), 0),
        (STRUCK, replace(NOTHING, repeated_events=4, redelivered=1, published_again=2), 1),
        (STRUCK, replace(A_TAKEOVER, leases_lost=1), 1),
    ],
)
def test_what_is_done_twice_without_a_reason_is_told(kind: str, counts: Counts, wrong: int) -> None:
    report = scaling.Report(Tally(), NONE_BROKEN, [scaling.Stage(2, kind, counts, 1.0)])
    assert len(report.wrong) == wrong, report

"""`make chaos`: thousands of checkouts while everything fails in turn, on private servers; a seed chooses the faults.

Then several of each process side by side, of which some are added and others killed. Exit status: 0 when every checkout
ended as it should, once, every rule of a full audit holds, and nothing was done twice for no reason; else 1.
"""

import argparse
import random
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from shared.config import ROOT
from tests.chaos import campaign, scaling
from tests.chaos.faults import Faults, Wires
from tests.e2e.shop import EXECUTOR, SEPARATE, Shop
from tests.system import temporal
from tests.system.brokers import OwnBroker
from tests.system.own_postgres import OwnPostgres
from tests.system.running import RunningSystem, Spawner
from tests.system.servers import Databases, TestRun

LOGS = ROOT / ".local" / "chaos"  # of the processes of the latest run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it, print what was done and the results, and return the exit status."""
    options = _parser().parse_args(arguments)
    temporal.take_engine()
    shutil.rmtree(LOGS, ignore_errors=True)
    LOGS.mkdir(parents=True)
    clean = True
    if options.checkouts:
        began = time.monotonic()
        report = _run(options.checkouts, options.seed)
        minutes = (time.monotonic() - began) / 60
        print(f"\nSeed {options.seed}, {minutes:.0f} minutes; logs are in {LOGS.relative_to(ROOT)}\n\n{report}")
        clean = report.clean
    if options.scaling and temporal.engine_of_run() != temporal.TEMPORAL:  # it counts leases
        for title, env in (("Executors in web processes, and separate ones", {}), ("Separate executors", SEPARATE)):
            scaled = _scale(options.scaling, env, title.lower().replace(" ", "-"))
            print(f"\n{title}\n\n{scaled}")
            clean = clean and not scaled.wrong
    return 0 if clean else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--checkouts", type=int, default=3000, help="half of them in each style; 3000 by default")
    parser.add_argument(
        "--scaling",
        type=int,
        default=60,
        help="checkouts in each stage with 1, 2 and 4 of each process; 60 by default",
    )
    parser.add_argument("--seed", type=int, default=1, help="of what is bought and which faults happen; 1 by default")
    return parser


def _run(checkouts: int, seed: int) -> campaign.Report:
    with ExitStack() as stack:
        test_run = TestRun()
        stack.callback(test_run.end)
        (test_run.home / "private").touch()  # so that the server ends with the run
        postgres, rabbitmq = OwnPostgres(test_run.home), OwnBroker()
        stack.callback(rabbitmq.close)
        own_temporal = stack.enter_context(temporal.own_temporal())
        database_url = Databases().create()
        wires = stack.enter_context(Wires())
        spawner = Spawner()
        stack.callback(spawner.close)
        system = RunningSystem(
            spawner,
            database_url,
            LOGS,
            rabbitmq_url=rabbitmq.create(),
            copies={EXECUTOR: 2},
            env={**campaign.ENV, **wires.env, **temporal.settings_of(own_temporal)},
        )
        shop = wires.shop(stack.enter_context(system), database_url)
        # One generator for each, since the number of cancellations drawn depends on which customers were served before.
        faults = Faults(shop, postgres, rabbitmq, wires, random.Random(seed), temporal=own_temporal)
        return campaign.run(shop, faults, checkouts, random.Random(seed), _tell)


def _scale(checkouts: int, env: Mapping[str, str], name: str) -> scaling.Report:
    with ExitStack() as stack:
        test_run = TestRun()
        stack.callback(test_run.end)
        rabbitmq = OwnBroker()
        stack.callback(rabbitmq.close)
        database_url, rabbitmq_url = Databases().create(), rabbitmq.create()
        spawner = Spawner()
        stack.callback(spawner.close)
        logs = LOGS / name
        logs.mkdir()
        system = RunningSystem(
            spawner,
            database_url,
            logs,
            rabbitmq_url=rabbitmq_url,
            copies=scaling.processes(4),
            standby=scaling.numbered([2, 3, 4]),
            env={**scaling.ENV, **env},
        )
        shop = Shop(stack.enter_context(system), database_url)
        return scaling.run(
            shop, scaling.Meter(shop, rabbitmq_url), (1, 2, 4), checkouts, chance=random.Random(1), tell=_tell
        )


def _tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

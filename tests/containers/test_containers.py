"""`docker-compose -f docker-compose.saga.yml up`, for real: `make docker-test`. Needs a Docker engine.

One deployment for all of these tests, which leave it well. Recovery is told to be quick, as in the other tests.
"""

import random
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import pytest

from shared.config import ROOT
from shared.testing import wait_until
from stack.processes import PROCESSES
from tests.containers.compose import Containers, command, docker
from tests.e2e.customers import CUSTOMERS, Customers
from tests.e2e.shop import CHOREOGRAPHED, COMPLETED, ORCHESTRATED, QUICK, Shop, steps_of
from tests.system.running import RunningSystem

pytestmark = pytest.mark.skipif(
    command() is None, reason="no Docker engine, or no Compose, was found: nothing is tried"
)

STOP_SECONDS = 20  # for everything together, one after the other where one needs the other
CHECKOUTS = 200  # of each pattern half
WEBS = [name for name, process in PROCESSES.items() if process.ports and not process.server]
WORKERS = [name for name in PROCESSES if name.endswith("-worker")]


@pytest.fixture(scope="module")
def containers() -> Iterator[Containers]:
    deployment = Containers(QUICK)
    deployment.down()  # of a run that was killed
    try:
        deployment.compose("build")
        deployment.up()
        yield deployment
    finally:
        deployment.down()
    assert deployment.all() == {}
    assert docker("volume", "ls", "--quiet", "--filter=name=checkout-sagas-test").split() == []


@pytest.fixture
def shop(containers: Containers) -> Iterator[Shop]:
    """In the end everything runs, every saga has ended, and the books balance."""
    shop = Shop(cast("RunningSystem", containers))
    yield shop
    shop.mend()
    wait_until(lambda: containers.unwell() == [], "every container is well", 60)
    shop.check_books()


def test_our_containers_can_do_no_more_than_they_need(containers: Containers) -> None:
    for name in containers.names:
        assert containers.inside(name, "id -u").strip() == "10001"
        assert "Read-only file system" in containers.inside(name, "touch /app/x 2>&1; true")
        assert containers.inside(name, "touch /tmp/x && echo done").strip() == "done"
        assert int(containers.inside(name, "awk '/CapEff/ {print $2}' /proc/self/status"), 16) == 0


def test_nothing_is_published_beyond_this_machine(containers: Containers) -> None:
    published = {
        binding["HostIp"]
        for container in containers.all().values()
        for bindings in container["NetworkSettings"]["Ports"].values()
        for binding in bindings or []
    }
    assert published == {"127.0.0.1"}


def test_the_walk(containers: Containers, shop: Shop) -> None:
    urls = {PROCESSES[name].url_setting: url for name, url in shop.urls.items()}
    page = containers.url("rabbitmq", "RABBITMQ_MANAGEMENT_PORT").replace("//", "//guest:guest@")
    walk = subprocess.run(
        ["tests/e2e/walk.sh"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", **urls, "RABBITMQ_MANAGEMENT_URL": page},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert walk.returncode == 0, walk.stdout + walk.stderr


def test_killed_in_mid_checkout_the_orchestrator_asks_again(containers: Containers, shop: Shop) -> None:
    mug = shop.product()
    containers.freeze("pagos")
    saga = shop.buy(mug)
    shop.until_asked(saga, "process_payment")
    containers.kill("pagos")
    containers.restart("pagos")
    assert shop.became(saga) == COMPLETED


def test_killed_in_mid_checkout_its_events_wait(containers: Containers, shop: Shop) -> None:
    mug = shop.product()
    containers.freeze("pagos-worker")
    saga = shop.buy(mug, pattern=CHOREOGRAPHED)
    shop.until(saga, lambda seen: steps_of(seen)["reserve_inventory"] == "succeeded", "holds its stock")
    containers.kill("pagos-worker")
    containers.restart("pagos-worker")
    assert shop.became(saga) == COMPLETED


def test_two_of_each_worker_are_killed_under_load(containers: Containers, shop: Shop) -> None:
    containers.up(dict.fromkeys(WORKERS, 2))
    customers = Customers(shop, random.Random(2), CHECKOUTS)
    doomed = [f"{name} {number}" for name in WORKERS for number in (1, 2)] + WEBS
    with ThreadPoolExecutor(CUSTOMERS) as pool:
        served = [pool.submit(customers.insist, wish) for wish in customers.wishes]
        for number, name in enumerate(doomed):
            wait_until(served[number * CHECKOUTS // len(doomed)].done, "some are served, and others wait", 120)
            containers.crash(name)
    for each in served:
        each.result()
    wait_until(lambda: containers.unwell() == [], "each came back by itself", 60)
    assert [name for name, one in containers.all().items() if name in doomed and not one["RestartCount"]] == []
    shop.until_quiet()
    customers.check()


def test_all_of_it_stops_within_seconds_and_loses_nothing(containers: Containers, shop: Shop) -> None:
    mug = shop.product(1000)
    sagas = [shop.buy(mug, pattern=pattern) for _ in range(40) for pattern in (ORCHESTRATED, CHOREOGRAPHED)]
    began = time.monotonic()
    containers.compose("stop")
    assert time.monotonic() - began < STOP_SECONDS
    ours = {name: one for name, one in containers.all().items() if one["Config"]["Image"].startswith("checkout-sagas/")}
    assert {one["State"]["ExitCode"] for one in ours.values()} == {0}
    containers.up(dict.fromkeys(WORKERS, 2))
    assert {shop.became(saga) for saga in sagas} == {COMPLETED}


def test_two_of_each_web_process(containers: Containers) -> None:
    containers.up(dict.fromkeys([*WEBS, *WORKERS], 2), **containers.port_pairs())
    for containers.copy in (1, 2):  # those that are asked from outside; among themselves they ask either
        shop = Shop(cast("RunningSystem", containers))
        mug = shop.product()
        for pattern in (ORCHESTRATED, CHOREOGRAPHED):
            assert [shop.became(shop.buy(mug, pattern=pattern)) for _ in range(5)] == [COMPLETED] * 5
        shop.check_books()

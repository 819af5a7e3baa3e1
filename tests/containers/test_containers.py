"""`docker-compose -f docker-compose.saga.yml up`: `make docker-test`. Needs a Docker engine.

All tests share one deployment, and leave it well. Settings make recovery quick, as in the other tests.
"""

import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from shared.http.client import PEER_FAILED
from shared.testing import wait_until
from stack.processes import PROCESSES
from tests.containers.compose import Containers, command, deployed
from tests.e2e.customers import CUSTOMERS, Customers
from tests.e2e.shop import CHOREOGRAPHED, COMPLETED, ORCHESTRATED, QUICK, Shop, steps_of
from tests.e2e.walking import walk_through
from tests.system.servers import SERVICES

pytestmark = pytest.mark.skipif(
    command() is None, reason="no Docker engine, or no Compose, was found: nothing is tried"
)

CHECKOUTS = 200  # half of them in each style
PATIENT = {"FORWARD_DEADLINE_SECONDS": "900"}  # a saga whose service is stopped for a while must complete afterwards
WEBS = [name for name, process in PROCESSES.items() if process.ports and not process.server]
WORKERS = [name for name in PROCESSES if name.endswith("-worker")]


@pytest.fixture(scope="module")
def containers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    with deployed("checkout-test", tmp_path_factory.mktemp("containers"), {**QUICK, **PATIENT}) as containers:
        yield containers


@pytest.fixture
def shop(containers: Containers, request: pytest.FixtureRequest) -> Iterator[Shop]:
    """Yield the shop; at the end everything runs, every saga has ended, and the books balance."""
    failed = request.session.testsfailed
    shop = Shop(containers)
    yield shop
    if request.session.testsfailed > failed:
        print(containers.story())  # noqa: T201
    shop.mend()
    wait_until(lambda: containers.unwell() == [], "every container is well", 60)
    shop.check_books()


def test_our_containers_can_do_no_more_than_they_need(containers: Containers) -> None:
    for name in containers.names:
        assert containers.inside(name, "id -u").strip() == "10001"
        assert "Read-only file system" in containers.inside(name, "touch /app/x 2>&1; true")
        assert containers.inside(name, "touch /tmp/x && echo done").strip() == "done"
        assert int(containers.inside(name, "awk '/CapEff/ {print $2}' /proc/self/status"), 16) == 0


ASK = """
import os, psycopg2
database = psycopg2.connect(os.environ["DATABASE_URL"])
database.autocommit = True
cursor = database.cursor()
def ask(sql):
    try:
        cursor.execute(sql)
        return cursor.fetchone()[0]
    except psycopg2.errors.InsufficientPrivilege:
        return "refused"
print(ask("SELECT session_user"), ask("SHOW is_superuser"))
for service in SERVICES:
    print(service, ask(f"SELECT count(*) FROM {service}.alembic_version"))
"""


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_s_login_sees_its_own_tables_only(containers: Containers, service: str) -> None:
    said = containers.inside(service, f"python -c 'SERVICES = {json.dumps(SERVICES)}\n{ASK}'").splitlines()
    assert said[0] == f"{service} off"
    assert said[1:] == [f"{each} {1 if each == service else 'refused'}" for each in SERVICES]


def test_nothing_is_published_beyond_this_machine(containers: Containers) -> None:
    published = {
        binding["HostIp"]
        for container in containers.all().values()
        for bindings in container["NetworkSettings"]["Ports"].values()
        for binding in bindings or []
    }
    assert published == {"127.0.0.1"}


def test_the_walk(containers: Containers, shop: Shop) -> None:
    page = containers.url("rabbitmq", "RABBITMQ_MANAGEMENT_PORT").replace("//", "//guest:guest@")
    walk = walk_through(shop, RABBITMQ_MANAGEMENT_URL=page)
    assert walk.returncode == 0, walk.stdout + walk.stderr


def test_killed_in_mid_checkout_the_orchestrator_asks_again(containers: Containers, shop: Shop) -> None:
    mug = shop.product()
    containers.freeze("pagos")
    saga = shop.buy(mug)
    shop.until_requested(saga, "process_payment")
    containers.kill("pagos")
    containers.restart("pagos")
    assert shop.became(saga) == COMPLETED


def test_killed_in_mid_checkout_its_events_wait(containers: Containers, shop: Shop) -> None:
    mug = shop.product()
    containers.freeze("pagos-worker")
    saga = shop.buy(mug, style=CHOREOGRAPHED)
    shop.until(saga, lambda seen: steps_of(seen)["reserve_inventory"] == "succeeded", "holds its stock")
    containers.kill("pagos-worker")
    containers.restart("pagos-worker")
    assert shop.became(saga) == COMPLETED


def test_two_of_each_worker_are_killed_under_load(containers: Containers, shop: Shop) -> None:
    containers.up(dict.fromkeys(WORKERS, 2))
    customers = Customers(shop, random.Random(2), CHECKOUTS)
    doomed = [f"{name} {number}" for name in WORKERS for number in (1, 2)] + [f"{name} 1" for name in WEBS]
    with ThreadPoolExecutor(CUSTOMERS) as pool:
        served = [pool.submit(customers.insist, purchase) for purchase in customers.purchases]
        for number, name in enumerate(doomed):
            wait_until(served[number * CHECKOUTS // len(doomed)].done, "some are served, and others wait", 120)
            containers.crash(name)
    for each in served:
        each.result()
    wait_until(lambda: containers.unwell() == [], "each came back by itself", 60)
    assert {name for name, one in containers.all().items() if one["RestartCount"]} == set(doomed)
    shop.until_quiet()
    customers.check()


def test_all_of_it_stops_when_told_and_loses_nothing(containers: Containers, shop: Shop) -> None:
    mug = shop.product(10_000)
    sagas: list[str] = []

    def buy_until_nobody_answers(style: str) -> None:
        with suppress(*PEER_FAILED, AssertionError):  # no answer, or 503
            while True:
                sagas.append(shop.buy(mug, style=style))

    with ThreadPoolExecutor() as pool:
        for style in (ORCHESTRATED, CHOREOGRAPHED) * 4:
            pool.submit(buy_until_nobody_answers, style)
        wait_until(lambda: len(sagas) > CHECKOUTS, "there is load")
        containers.compose("stop")
    ours = {name: one for name, one in containers.all().items() if name.split()[0] in containers.names}
    assert {one["State"]["ExitCode"] for one in ours.values()} == {0}, "none had to be killed"
    stopped = max(one["State"]["FinishedAt"] for one in ours.values())
    containers.up(dict.fromkeys(WORKERS, 2))
    assert {shop.became(saga) for saga in sagas} == {COMPLETED}
    assert any(shop.saga(saga)["ended_at"] > stopped for saga in sagas), "some were under way"


def test_two_of_each_web_process(containers: Containers) -> None:
    containers.up(dict.fromkeys([*WEBS, *WORKERS], 2), **containers.port_pairs())
    for copy in (1, 2):  # the copy that tests call, and the other one; services call either
        containers.copy = copy
        shop = Shop(containers)
        mug = shop.product()
        for style in (ORCHESTRATED, CHOREOGRAPHED):
            assert [shop.became(shop.buy(mug, style=style)) for _ in range(5)] == [COMPLETED] * 5
        shop.check_books()

"""The profiles `temporal` and `observability`, both at once, as docs/operations.md has them."""

import json
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import requests

from shared.testing import wait_until
from tests.containers.compose import Containers, command, deployed
from tests.contract.test_compose import CONTAINERS, WATCHERS
from tests.contract.test_observability import JOBS, discovery
from tests.e2e.shop import CHOREOGRAPHED, COMPLETED, DECLINED, EXECUTOR, ORCHESTRATED, QUICK, Shop
from tests.e2e.tracing import COMPLETE, traced
from tests.system.promql import dashboards, rules

pytestmark = pytest.mark.skipif(
    command() is None, reason="no Docker engine, or no Compose, was found: nothing is tried"
)

PROFILES = {
    "COMPOSE_PROFILES": "temporal,observability",
    "SAGA_ENGINE": "temporal",
    "TEMPORAL_ADDRESS": "temporal:7233",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://jaeger:4318",
}
QUICK_AND_PATIENT = {**QUICK, "TEMPORAL_HEARTBEAT_SECONDS": "1", "FORWARD_DEADLINE_SECONDS": "900"}
SECONDS = 120.0  # for hanging only; Prometheus looks for processes and scrapes them every 15 s
SAGAS = 6  # in flight: so many that each worker has some


@pytest.fixture(scope="module")
def containers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    with deployed(
        "profiles-test", tmp_path_factory.mktemp("profiles"), {**QUICK_AND_PATIENT, **PROFILES}
    ) as containers:
        yield containers


@pytest.fixture(scope="module")
def shop(containers: Containers) -> Iterator[Shop]:
    """Yield the shop; at the end every saga has ended, and the books balance."""
    shop = Shop(containers)
    yield shop
    shop.check_books()


def read(containers: Containers, setting: str, path: str, **query: str) -> Any:
    """Return what a watcher answers, which is JSON; None while it knows no such thing."""
    reply = requests.get(containers.url("", setting) + path, params=query, timeout=SECONDS)
    return None if reply.status_code == 404 else json.loads(reply.text)


def workflows(containers: Containers) -> Mapping[str, str]:
    """Return the status of each workflow in Temporal's list, by its id."""
    listed = containers.inside("temporal", "temporal workflow list --address 127.0.0.1:7233 --output json")
    return {each["execution"]["workflowId"]: each["status"] for each in json.loads(listed)}


def test_all_of_it_runs(containers: Containers) -> None:
    assert {name.split()[0] for name in containers.all()} == CONTAINERS.keys()
    assert containers.unwell() == []


def test_the_watchers_can_do_no_more_than_they_need(containers: Containers) -> None:
    for name in (*WATCHERS, "temporal"):
        told = containers.all()[f"{name} 1"]["HostConfig"]
        assert (told["ReadonlyRootfs"], told["CapDrop"], told["Privileged"]) == (True, ["ALL"], False)
        bindings = [each for each in told["PortBindings"].values() for each in each]
        assert {each["HostIp"] for each in bindings} == {"127.0.0.1"}


def test_orchestrated_sagas_run_on_temporal_and_choreographed_ones_do_not(containers: Containers, shop: Shop) -> None:
    mug = shop.product()
    bought, declined = shop.buy(mug), shop.buy(mug, method="declined_card")
    choreographed = shop.buy(mug, style=CHOREOGRAPHED)
    assert [shop.became(saga) for saga in (bought, declined, choreographed)] == [COMPLETED, DECLINED, COMPLETED]
    assert {entry["executor"] for entry in shop.timeline(bought, kind="attempt")} == {"temporal"}
    wait_until(lambda: {bought, declined} <= workflows(containers).keys(), "both are listed", SECONDS)
    assert choreographed not in workflows(containers)


def test_sagas_on_temporal_survive_the_death_of_each_worker(containers: Containers, shop: Shop) -> None:
    mug = shop.product()
    for number in (1, 2):
        containers.freeze("pagos")
        sagas = [shop.buy(mug) for _ in range(SAGAS)]
        for saga in sagas:
            shop.until_requested(saga, "process_payment")
        containers.kill(f"{EXECUTOR} {number}")
        containers.thaw("pagos")
        assert [shop.became(saga) for saga in sagas] == [COMPLETED] * SAGAS
        assert not containers.alive(f"{EXECUTOR} {number}"), "the other one ended them"
        containers.restart(f"{EXECUTOR} {number}")
    wait_until(lambda: containers.unwell() == [], "all are well", SECONDS)


def test_prometheus_scrapes_every_process_and_rabbitmq(containers: Containers) -> None:
    wanted = sorted(
        name.split()[0]
        for name in containers.all()
        if name.split()[0] in discovery("web")["names"] + discovery("worker")["names"]
    )

    def up() -> list[Mapping[str, Any]] | None:
        targets = read(containers, "PROMETHEUS_PORT", "/api/v1/targets")["data"]["activeTargets"]
        scraped = sorted(each["labels"]["process"] for each in targets if each["labels"]["job"] != "rabbitmq")
        return targets if scraped == wanted and all(each["health"] == "up" for each in targets) else None

    targets = wait_until(up, "every target is up", SECONDS)
    assert {each["labels"]["job"] for each in targets or ()} == JOBS.keys()


def test_it_evaluates_every_rule(containers: Containers) -> None:
    def evaluated() -> list[Mapping[str, Any]] | None:
        groups = read(containers, "PROMETHEUS_PORT", "/api/v1/rules")["data"]["groups"]
        found = [rule for group in groups for rule in group["rules"]]
        return found if all(each["health"] != "unknown" for each in found) else None

    found = wait_until(evaluated, "every rule was evaluated", SECONDS)
    assert {each["name"]: each["health"] for each in found or ()} == {each["alert"]: "ok" for each in rules()}


def test_grafana_has_the_dashboards_and_reaches_prometheus(containers: Containers) -> None:
    found = wait_until(
        lambda: read(containers, "GRAFANA_PORT", "/api/search", type="dash-db"), "it has read them", SECONDS
    )
    assert {each["uid"] for each in found or ()} == dashboards().keys()
    proxy = "/api/datasources/proxy/uid/prometheus/api/v1/query"
    for board in dashboards().values():
        for target in (each for panel in board["panels"] for each in panel.get("targets", ())):
            query = target["expr"].replace("$__rate_interval", "1m").replace("$style", ".*").replace("$service", ".*")
            assert read(containers, "GRAFANA_PORT", proxy, query=query)["status"] == "success", query


@pytest.mark.parametrize("style", [ORCHESTRATED, CHOREOGRAPHED])
def test_a_trace_of_a_checkout_arrives_from_every_service(containers: Containers, shop: Shop, style: str) -> None:
    trace_id, cart = secrets.token_hex(16), shop.cart((shop.product(), 1))
    begun = shop.checkout(cart, style=style, **traced(trace_id))
    assert shop.became(begun.body["saga_id"]) == COMPLETED

    def spans() -> set[tuple[str, str]]:
        found = read(containers, "JAEGER_PORT", f"/api/traces/{trace_id}")
        return {
            (trace["processes"][span["processID"]]["serviceName"], span["operationName"])
            for trace in (found or {}).get("data") or ()
            for span in trace["spans"]
        }

    wait_until(lambda: spans() >= {*COMPLETE[style]}, f"all spans of {trace_id} arrive", SECONDS)

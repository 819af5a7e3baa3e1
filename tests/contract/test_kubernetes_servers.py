"""In Kubernetes, servers, autoscaling and network policies fit the processes."""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import pytest

from pagos.config import Settings as AnyService
from saga_orchestrator.config import Settings as Orchestrator
from saga_orchestrator.models import db
from saga_orchestrator.runtime.leases import BUILTIN
from stack.processes import Process
from tests.contract.test_compose import CONTAINERS, OURS, WEBS, WITH_DATA, WORKERS
from tests.system.kubernetes import (
    OVERLAYS,
    container_of,
    deployment_of,
    labels_of,
    may_connect,
    name_of,
    of_kind,
    resources,
)

SCALED = sorted({*OVERLAYS} - {"dev"})
RABBITMQ = {"app.kubernetes.io/name": "saga-rabbitmq"}
# The schemas of these kinds belong to their operators, not to Kubernetes, so only the names of fields are checked.
FIELDS = {
    "Cluster": {"instances", "imageName", "bootstrap", "postgresql", "storage", "affinity", "resources"},
    "RabbitmqCluster": {"replicas", "image", "rabbitmq", "persistence", "resources", "affinity"},
    "User": {"rabbitmqClusterReference"},
    "Permission": {"vhost", "userReference", "permissions", "rabbitmqClusterReference"},
    "ScaledObject": {"scaleTargetRef", "minReplicaCount", "maxReplicaCount", "fallback", "triggers"},
    "TriggerAuthentication": {"secretTargetRef"},
    "PodMonitor": {"selector", "jobLabel", "podMetricsEndpoints"},
}
# Connections that a process may have (docs/operations.md): a web process of each kind, and a worker.
OF_A_WEB, OF_AN_ORCHESTRATOR, OF_A_WORKER, OF_OTHERS = 17, 21, 7, 10


def _most(replicas: int) -> int:
    """Return the most replicas during a deployment: a quarter more, rounded up."""
    return replicas + -(-replicas // 4)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_of_the_operators_kinds_only_these_fields_are_used(overlay: str) -> None:
    theirs = [each for each in resources(overlay) if each["kind"] in FIELDS]
    assert {each["kind"] for each in theirs} == {"Cluster", "RabbitmqCluster", "User", "Permission"} | (
        ({"ScaledObject", "TriggerAuthentication"} if overlay in SCALED else set())
        | ({"PodMonitor"} if overlay == "observability" else set())
    )
    assert [(each["kind"], each["spec"].keys() - FIELDS[each["kind"]]) for each in theirs] == [
        (each["kind"], set()) for each in theirs
    ]


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("process", OURS, ids=name_of)
def test_each_reaches_whom_compose_tells_it_of_and_its_servers(process: Process, overlay: str) -> None:
    own = labels_of(deployment_of(overlay, process))
    told = CONTAINERS[process.name]["environment"]
    for other in WEBS:
        reached = may_connect(overlay, own, labels_of(deployment_of(overlay, other)), 8000)
        assert reached == (other.url_setting in told), other.name
    variables = {each["name"] for each in container_of(deployment_of(overlay, process)).get("env", [])}
    assert may_connect(overlay, own, RABBITMQ, 5672) == ("RABBITMQ_URL" in variables)


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("process", OURS, ids=name_of)
def test_each_reaches_its_own_database_and_no_other(process: Process, overlay: str) -> None:
    own = labels_of(deployment_of(overlay, process))
    for cluster in of_kind(overlay, "Cluster"):
        reached = may_connect(overlay, own, {"cnpg.io/cluster": cluster}, 5432)
        assert reached == (cluster == f"{process.package.replace('_', '-')}-db"), cluster


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_workers_are_reached_by_nobody(overlay: str) -> None:
    for worker in WORKERS:
        for other in OURS:
            target, source = (labels_of(deployment_of(overlay, each)) for each in (worker, other))
            assert not may_connect(overlay, source, target, 8000)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_servers_are_those_of_compose(overlay: str) -> None:
    (rabbitmq,) = of_kind(overlay, "RabbitmqCluster").values()
    assert rabbitmq["spec"]["image"] == CONTAINERS["rabbitmq"]["image"]
    version = CONTAINERS["db"]["image"].removeprefix("postgres:").removesuffix("-alpine")
    images = {each["spec"]["imageName"] for each in of_kind(overlay, "Cluster").values()}
    assert images == {f"ghcr.io/cloudnative-pg/postgresql:{version}"}


@pytest.mark.parametrize("overlay", SCALED)
def test_what_was_committed_or_confirmed_survives_the_death_of_a_server(overlay: str) -> None:
    (rabbitmq,) = of_kind(overlay, "RabbitmqCluster").values()
    assert rabbitmq["spec"]["replicas"] == 3
    for cluster in of_kind(overlay, "Cluster").values():
        assert cluster["spec"]["instances"] == 3
        synchronous = cluster["spec"]["postgresql"]["synchronous"]
        assert synchronous == {"method": "any", "number": 1, "dataDurability": "required"}


@pytest.mark.parametrize("overlay", SCALED)
@pytest.mark.parametrize("process", OURS, ids=name_of)
def test_there_are_two_of_each_and_more_when_there_is_more_to_do(process: Process, overlay: str) -> None:
    kind = "ScaledObject" if process.worker else "HorizontalPodAutoscaler"
    scaler = of_kind(overlay, kind)[name_of(process)]["spec"]
    assert scaler["scaleTargetRef"]["name"] == name_of(process)
    least, most = (scaler[f"{way}Replica{'Count' if process.worker else 's'}"] for way in ("min", "max"))
    assert 2 <= least < most
    assert "replicas" not in deployment_of(overlay, process)["spec"], "to apply it again would take the others away"


@pytest.mark.parametrize("overlay", SCALED)
def test_workers_are_as_many_as_their_queue_is_long(overlay: str) -> None:
    namespaces = {each["metadata"]["namespace"] for each in of_kind(overlay, "Deployment").values()}
    for process in WORKERS:
        (trigger,) = of_kind(overlay, "ScaledObject")[name_of(process)]["spec"]["triggers"]
        told = trigger["metadata"]
        assert trigger["authenticationRef"]["name"] in of_kind(overlay, "TriggerAuthentication")
        host = urlsplit(told["host"]).hostname or told["host"]
        assert {host.split(".")[1]} == namespaces, "it is connected to from another namespace"
        if process.package == "saga_orchestrator":
            assert _unknown_words(told["query"]) == set()
            assert float(told["targetQueryValue"]) < Orchestrator.model_fields["executor_sagas"].default
        else:
            assert (told["queueName"], told["mode"]) == (process.package, "QueueLength")


def _unknown_words(query: str) -> set[str]:
    """Return the words of a query in lower case that are no table or column of sagas, and no value of `engine`."""
    table = db.metadata.tables["saga_orchestrator.sagas"]
    known = {"saga_orchestrator", "sagas", "count", "now", BUILTIN, *(column.name for column in table.columns)}
    return set(re.findall(r"[a-z_]+", query)) - known


@pytest.mark.parametrize("overlay", SCALED)
def test_secrets_are_those_that_operators_make(overlay: str) -> None:
    made = {f"{name}-app" for name in of_kind(overlay, "Cluster")}
    made |= {f"{name}-user-credentials" for name in of_kind(overlay, "User")}
    used = {
        each["valueFrom"]["secretKeyRef"]["name"]
        for workload in [*of_kind(overlay, "Deployment").values(), *of_kind(overlay, "Job").values()]
        for each in container_of(workload).get("env", [])
        if "valueFrom" in each
    }
    requested = {each["name"] for each in _of_scalers(overlay)}
    assert used | requested == made


def _of_scalers(overlay: str) -> Iterable[Any]:
    for each in of_kind(overlay, "TriggerAuthentication").values():
        yield from each["spec"]["secretTargetRef"]


@pytest.mark.parametrize("overlay", SCALED)
@pytest.mark.parametrize("process", [each for each in WITH_DATA if each.ports], ids=name_of)
def test_as_many_as_there_may_be_have_room_at_their_database(process: Process, overlay: str) -> None:
    assert AnyService.model_fields["web_threads"].default < OF_A_WEB
    webs = of_kind(overlay, "HorizontalPodAutoscaler")[name_of(process)]["spec"]["maxReplicas"]
    workers = of_kind(overlay, "ScaledObject")[f"{name_of(process)}-worker"]["spec"]["maxReplicaCount"]
    of_a_web = OF_AN_ORCHESTRATOR if process.package == "saga_orchestrator" else OF_A_WEB
    needed = _most(webs) * of_a_web + _most(workers) * OF_A_WORKER + OF_OTHERS
    parameters = of_kind(overlay, "Cluster")[f"{name_of(process)}-db"]["spec"]["postgresql"]["parameters"]
    assert needed <= int(parameters["max_connections"])

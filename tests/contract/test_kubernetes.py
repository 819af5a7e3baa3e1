"""The processes in Kubernetes are those of compose, with the same settings, and have no rights."""

import os
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from shared.broker_nodes import node_urls
from shared.process import heartbeat
from stack.processes import Process
from tests.contract.test_compose import CONTAINERS, OURS, WEBS, WITH_DATA, WORKERS
from tests.system.kubernetes import (
    KIND_LABEL,
    OVERLAYS,
    SERVICE_LABEL,
    container_of,
    deployment_of,
    labels_of,
    name_of,
    of_kind,
    pod_of,
    resources,
    selects,
    settings_of,
)
from tests.system.servers import SERVICES

# Settings that compose sets and Kubernetes does not: a service's URL of its own database contains the password, and it
# has no address where it is published.
OTHERWISE = {"DATABASE_URL", "PGPASSWORD", "PUBLISHED_ON"}
OF_EVENTS = {"saga_orchestrator": {"RABBITMQ_URL"}}  # it handles no events, and has no route to the broker
# The oldest version with all fields that the resources use (a pause before a container's end), and the newest known.
VERSIONS = ["1.30", "1.37"]
OF_OPERATORS = {
    "postgresql.cnpg.io",
    "rabbitmq.com",
    "keda.sh",
    "monitoring.coreos.com",
}  # whose schemas Kubernetes does not have
SECRET = ("PASSWORD", "TOKEN", "_URL")


def _workloads(overlay: str) -> list[Any]:
    return [*of_kind(overlay, "Deployment").values(), *of_kind(overlay, "Job").values()]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_overlay_builds_and_has_no_field_that_kubernetes_does_not_know(overlay: str, version: str) -> None:
    validator = pytest.importorskip("kubernetes_validate", reason="`make .venv/.kubernetes`, as `make test` does")
    known = [each for each in resources(overlay) if each["apiVersion"].partition("/")[0] not in OF_OPERATORS]
    assert len(known) > len(OURS)
    for each in known:
        validator.validate(each, version, strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_there_is_a_deployment_for_each_process_and_a_job_for_each_schema(overlay: str) -> None:
    assert of_kind(overlay, "Deployment").keys() == {name_of(each) for each in OURS}
    assert of_kind(overlay, "Job").keys() == {f"{each.replace('_', '-')}-migrations" for each in SERVICES}


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("process", OURS, ids=name_of)
def test_each_runs_what_its_container_of_compose_runs(process: Process, overlay: str) -> None:
    container = container_of(deployment_of(overlay, process))
    assert " ".join(container.get("command", [])) == CONTAINERS[process.name].get("command", "")
    service = CONTAINERS[process.name]["build"]["args"]["SERVICE"]
    assert container["image"].partition(":")[0].endswith(f"checkout-sagas/{service}")


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("service", SERVICES)
def test_a_schema_is_brought_up_to_date_by_the_image_of_its_service(service: str, overlay: str) -> None:
    job = of_kind(overlay, "Job")[f"{service.replace('_', '-')}-migrations"]
    assert " ".join(container_of(job)["command"]) == CONTAINERS[f"{service}-migrations"]["command"]
    web = of_kind(overlay, "Deployment")[service.replace("_", "-")]
    assert container_of(job)["image"] == container_of(web)["image"]


@pytest.mark.parametrize("process", OURS, ids=name_of)
def test_for_trying_there_are_as_many_of_each_as_elsewhere(process: Process) -> None:
    assert deployment_of("dev", process)["spec"].get("replicas", 1) == process.copies


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("process", OURS, ids=name_of)
def test_each_is_told_what_compose_tells_it(process: Process, overlay: str) -> None:
    told = settings_of(overlay, deployment_of(overlay, process))
    valued = {name for name, value in CONTAINERS[process.name]["environment"].items() if value is not None}
    assert valued - OTHERWISE - OF_EVENTS.get(process.package, set()) <= told


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_there_is_no_setting_that_no_service_reads(overlay: str) -> None:
    known = {name for each in CONTAINERS.values() for name in each.get("environment", {})}
    (settings,) = of_kind(overlay, "ConfigMap").values()
    assert settings["data"].keys() <= known
    assert "INSECURE_DEMO" not in settings["data"]


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("process", WITH_DATA, ids=name_of)
def test_each_service_has_a_database_of_its_own_and_its_login_from_a_secret(process: Process, overlay: str) -> None:
    variables = container_of(deployment_of(overlay, process))["env"]
    (url,) = [each for each in variables if each["name"] == f"{process.package.upper()}_DATABASE_URL"]
    cluster = f"{process.package.replace('_', '-')}-db"
    assert url["valueFrom"]["secretKeyRef"] == {"name": f"{cluster}-app", "key": "uri"}
    home = of_kind(overlay, "Cluster")[cluster]["spec"]["bootstrap"]["initdb"]
    assert home == {"database": "saga", "owner": process.package}, "it makes its own schema"


@pytest.mark.parametrize("overlay", sorted({*OVERLAYS} - {"dev"}))
def test_no_secret_is_in_the_files(overlay: str) -> None:
    assert of_kind(overlay, "Secret") == {}
    values = [
        each["value"]
        for workload in _workloads(overlay)
        for each in container_of(workload).get("env", [])
        if "value" in each and any(word in each["name"] for word in SECRET)
    ]
    assert {each.partition("@")[0] for each in values} == {"amqp://$(RABBITMQ_USERNAME):$(RABBITMQ_PASSWORD)"}
    (settings,) = of_kind(overlay, "ConfigMap").values()
    assert not settings["data"].keys() & {"ADMIN_TOKEN", "SERVICE_TOKEN"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_service_is_told_the_tokens_and_migrations_are_not(overlay: str) -> None:
    for workload in _workloads(overlay):
        secrets = [each["secretRef"]["name"] for each in container_of(workload)["envFrom"] if "secretRef" in each]
        expected = ["checkout-tokens"] if workload["kind"] == "Deployment" else []
        assert [name[: len("checkout-tokens")] for name in secrets] == expected
        assert set(secrets) <= of_kind(overlay, "Secret").keys() or overlay != "dev"


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("process", WEBS, ids=name_of)
def test_web_processes_are_found_by_the_urls_that_all_are_told(process: Process, overlay: str) -> None:
    deployment = deployment_of(overlay, process)
    service = of_kind(overlay, "Service")[name_of(process)]
    every = of_kind(overlay, "Deployment").values()
    selector = {"matchLabels": service["spec"]["selector"]}
    assert [each for each in every if selects(selector, labels_of(each))] == [deployment]
    (port,) = service["spec"]["ports"]
    (own,) = container_of(deployment)["ports"]
    assert (port["targetPort"], port["port"], own["containerPort"]) == (own["name"], 8000, 8000)
    (settings,) = of_kind(overlay, "ConfigMap").values()
    told = settings["data"].get(process.url_setting, f"http://{name_of(process)}:8000")
    assert (urlsplit(told).hostname, urlsplit(told).port) == (name_of(process), 8000)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_none_of_ours_has_any_rights(overlay: str) -> None:
    for workload in _workloads(overlay):
        pod, container = pod_of(workload), container_of(workload)
        expected = {"runAsNonRoot": True, "runAsUser": 10001, "runAsGroup": 10001, "fsGroup": 10001}
        assert pod["securityContext"] == {**expected, "seccompProfile": {"type": "RuntimeDefault"}}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False, "they would set CARRITO_PORT and the like"
        assert [each["mountPath"] for each in container["volumeMounts"]] == ["/tmp"]
        assert [each["emptyDir"]["sizeLimit"] for each in pod["volumes"]] == ["16Mi"]


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("process", WEBS, ids=name_of)
def test_a_web_process_is_ready_when_it_says_so(process: Process, overlay: str) -> None:
    container = container_of(deployment_of(overlay, process))
    assert container["readinessProbe"]["httpGet"] == {"path": "/health", "port": "http"}
    assert "httpGet" not in container["livenessProbe"], "what it depends on does not come back by starting it again"


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("process", WORKERS, ids=name_of)
def test_a_worker_is_ready_when_compose_calls_it_healthy(process: Process, overlay: str) -> None:
    _, command = CONTAINERS[process.name]["healthcheck"]["test"]
    probe = container_of(deployment_of(overlay, process))["readinessProbe"]
    assert probe["exec"]["command"] == ["sh", "-c", command.replace("$$", "$")]


@pytest.mark.parametrize("process", WORKERS, ids=name_of)
def test_a_worker_is_started_again_only_when_it_is_frozen(process: Process, tmp_path: Path) -> None:
    command = container_of(deployment_of("prod", process))["livenessProbe"]["exec"]["command"]
    file = tmp_path / "heartbeat"

    def lives() -> bool:
        env = {**os.environ, heartbeat.FILE: str(file)}
        return subprocess.run(command, env=env, check=False, stderr=subprocess.DEVNULL).returncode == 0

    assert lives(), "it is starting"
    file.touch()
    assert lives()
    file.write_text("events: the broker is away\n")
    assert lives(), "it goes on by itself"
    then = time.time() - heartbeat.STALE_SECONDS - 1
    os.utime(file, (then, then))
    assert not lives()


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("process", OURS, ids=name_of)
def test_a_node_that_is_drained_takes_one_of_each_at_a_time(process: Process, overlay: str) -> None:
    labels = labels_of(deployment_of(overlay, process))
    assert labels[SERVICE_LABEL] + ("" if labels[KIND_LABEL] == "web" else "-worker") == name_of(process)
    budgets = of_kind(overlay, "PodDisruptionBudget").values()
    (budget,) = [each for each in budgets if selects(each["spec"]["selector"], labels)]
    assert budget["spec"]["maxUnavailable"] == 1


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("process", OURS, ids=name_of)
def test_the_broker_s_url_has_its_login_and_all_of_its_nodes(process: Process, overlay: str) -> None:
    """A variable may name only those before it."""
    variables = container_of(deployment_of(overlay, process)).get("env", [])
    names = [each["name"] for each in variables]
    if "RABBITMQ_URL" not in names:
        return
    at = names.index("RABBITMQ_URL")
    assert {"RABBITMQ_USERNAME", "RABBITMQ_PASSWORD"} <= set(names[:at])
    hosts = [urlsplit(each).hostname for each in node_urls(variables[at]["value"])]
    ((name, cluster),) = of_kind(overlay, "RabbitmqCluster").items()
    count = cluster["spec"]["replicas"]
    nodes = [f"{name}-server-{number}.{name}-nodes" for number in range(count)]
    assert hosts == ([name] if count == 1 else nodes), "as its operator names them"

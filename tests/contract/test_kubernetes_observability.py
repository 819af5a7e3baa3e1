"""In Kubernetes, the overlay `observability` has traces sent and metrics scraped, as that profile of compose has."""

import re
import subprocess
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from shared.config import ROOT
from stack.processes import Process
from tests.contract.test_compose import OURS, WITH_DATA
from tests.contract.test_observability import JOBS, discovery
from tests.system.kubernetes import (
    FOLDER,
    OVERLAYS,
    SERVICE_LABEL,
    container_of,
    deployment_of,
    labels_of,
    lets_namespace,
    name_of,
    of_kind,
    selects,
    settings_of,
)
from tests.system.promql import rules

OVERLAY = "observability"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
COLLECTOR, MONITORING = {"checkout-sagas/collector": "true"}, {"checkout-sagas/monitoring": "true"}
RABBITMQ = {"app.kubernetes.io/name": "saga-rabbitmq"}
OF_RABBITMQ = ("prometheus", 15692)  # as its operator names the port, and where the plugin listens


def _monitors_of(labels: Any) -> list[Any]:
    return [
        each["spec"] for each in of_kind(OVERLAY, "PodMonitor").values() if selects(each["spec"]["selector"], labels)
    ]


@pytest.mark.parametrize("process", OURS, ids=name_of)
def test_prometheus_finds_whom_it_finds_in_compose_and_calls_it_the_same(process: Process) -> None:
    job = "worker" if process.worker else "web"
    deployment = deployment_of(OVERLAY, process)
    labels, monitors = labels_of(deployment), _monitors_of(labels_of(deployment))
    assert len(monitors) == (process.name in discovery(job)["names"])
    for monitor in monitors:
        (endpoint,) = monitor["podMetricsEndpoints"]
        ports = {each["name"]: each["containerPort"] for each in container_of(deployment)["ports"]}
        assert (endpoint["path"], ports[endpoint["port"]]) == ("/metrics", discovery(job)["port"])
        assert lets_namespace(OVERLAY, "ingress", labels, MONITORING, ports[endpoint["port"]])
        assert labels[monitor["jobLabel"]] == job, "alerts ask for a job"
        (named,) = endpoint["relabelings"]
        assert named["sourceLabels"] == ["__meta_kubernetes_pod_label_" + re.sub(r"\W", "_", SERVICE_LABEL)]
        name = named.get("replacement", "$1").replace("$1", labels[SERVICE_LABEL])
        assert (named["targetLabel"], name) == ("process", name_of(process))


def test_it_asks_rabbitmq_what_it_asks_in_compose() -> None:
    (monitor,) = _monitors_of(RABBITMQ)
    (endpoint,) = monitor["podMetricsEndpoints"]
    port, number = OF_RABBITMQ
    assert JOBS["rabbitmq"]["static_configs"] == [{"targets": [f"rabbitmq:{number}"]}]
    assert (endpoint["path"], endpoint["params"]) == (JOBS["rabbitmq"]["metrics_path"], JOBS["rabbitmq"]["params"])
    assert endpoint["port"] == port
    assert lets_namespace(OVERLAY, "ingress", RABBITMQ, MONITORING, number)


def test_the_command_that_applies_the_alerts_makes_a_rule_of_each() -> None:
    page = (FOLDER / "README.md").read_text()
    (command,) = re.findall(r"^\{ printf .+alerts\.yml; \} \| kubectl .+$", page, re.MULTILINE)
    pipe, _, _ = command.rpartition(" | ")
    made = subprocess.run(["sh", "-euc", pipe], cwd=ROOT, check=True, capture_output=True, text=True)
    resource = yaml.safe_load(made.stdout)
    assert (resource["apiVersion"], resource["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    assert [rule for group in resource["spec"]["groups"] for rule in group["rules"]] == rules()


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("process", WITH_DATA, ids=name_of)
def test_who_is_told_of_a_collector_reaches_it_and_has_an_image_that_can_use_it(process: Process, overlay: str) -> None:
    deployment = deployment_of(overlay, process)
    assert (ENDPOINT in settings_of(overlay, deployment)) == (overlay == OVERLAY)
    assert ("observability" in container_of(deployment)["image"].partition(":")[2]) == (overlay == OVERLAY)
    assert lets_namespace(overlay, "egress", labels_of(deployment), COLLECTOR, 4318) == (overlay == OVERLAY)
    (settings,) = of_kind(OVERLAY, "ConfigMap").values()
    assert urlsplit(settings["data"][ENDPOINT]).port == 4318

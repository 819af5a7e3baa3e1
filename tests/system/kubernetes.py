"""The resources of `deploy/kubernetes`, as Kustomize builds them, for tests without a cluster."""

import functools
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.config import ROOT
from stack.processes import Process

Resource = Mapping[str, Any]
FOLDER = ROOT / "deploy" / "kubernetes"
OVERLAYS = sorted(each.name for each in (FOLDER / "overlays").iterdir())
SERVICE_LABEL, KIND_LABEL = "app.kubernetes.io/name", "app.kubernetes.io/component"


@functools.cache
def resources(overlay: str) -> list[Resource]:
    """Return all resources of an overlay; skips the test when kubectl is not installed, which `make test` does."""
    kubectl = Path(sys.executable).with_name("kubectl")
    if not kubectl.exists():
        pytest.skip("kubectl is not in .venv: `make .venv/.kubernetes`, as `make test` does")
    command = [str(kubectl), "kustomize", str(FOLDER / "overlays" / overlay)]
    built = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    assert built.stderr == "", "a warning, such as of a field that is deprecated"
    return list(yaml.safe_load_all(built.stdout))


def of_kind(overlay: str, kind: str) -> dict[str, Resource]:
    """Return an overlay's resources of this kind by name; empty when there is none."""
    return {each["metadata"]["name"]: each for each in resources(overlay) if each["kind"] == kind}


def name_of(process: Process) -> str:
    """Return the name of a process in Kubernetes, where names of hosts have no underscore."""
    return process.name.replace("_", "-")


def deployment_of(overlay: str, process: Process) -> Resource:
    """Return the Deployment of a process."""
    return of_kind(overlay, "Deployment")[name_of(process)]


def pod_of(workload: Resource) -> Resource:
    """Return the pod template's `spec` of a Deployment or Job."""
    pod: Resource = workload["spec"]["template"]["spec"]
    return pod


def container_of(workload: Resource) -> Resource:
    """Return the only container of a Deployment or Job."""
    (container,) = pod_of(workload)["containers"]
    return container  # type: ignore[no-any-return]


def labels_of(workload: Resource) -> Mapping[str, str]:
    """Return the labels that the pods of a Deployment or Job have."""
    labels: Mapping[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return labels


def settings_of(overlay: str, workload: Resource) -> set[str]:
    """Return the names of all variables that the container is told, but for those of whole secrets."""
    container = container_of(workload)
    return {each["name"] for each in container.get("env", [])} | set(_from_maps(overlay, container))


def _from_maps(overlay: str, container: Resource) -> Iterator[str]:
    maps = of_kind(overlay, "ConfigMap")
    for source in container.get("envFrom", []):
        if "configMapRef" in source:
            yield from maps[source["configMapRef"]["name"]]["data"]


def selects(selector: Resource, labels: Mapping[str, str]) -> bool:
    """Whether a label selector selects these labels; of its operators it knows `In`."""
    expressions = selector.get("matchExpressions", [])
    assert all(each["operator"] == "In" for each in expressions)
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        labels.get(each["key"]) in each["values"] for each in expressions
    )


def may_connect(overlay: str, source: Mapping[str, str], target: Mapping[str, str], port: int) -> bool:
    """Whether the network policies let pods with the labels `source` connect to pods with `target` on this port."""
    to, by = {"podSelector": target}, {"podSelector": source}
    return _lets(overlay, "egress", source, to, port) and _lets(overlay, "ingress", target, by, port)


def lets_namespace(overlay: str, way: str, own: Mapping[str, str], namespace: Mapping[str, str], port: int) -> bool:
    """Whether the policies of pods with the labels `own` let them connect to namespaces with these labels (`egress`).

    Or, as `ingress`, whether pods of such namespaces may connect to them.
    """
    return _lets(overlay, way, own, {"namespaceSelector": namespace}, port)


def _lets(overlay: str, way: str, own: Mapping[str, str], other: Mapping[str, Mapping[str, str]], port: int) -> bool:
    ((kind, labels),) = other.items()
    policies = [
        each["spec"]
        for each in of_kind(overlay, "NetworkPolicy").values()
        if way.capitalize() in each["spec"]["policyTypes"] and selects(each["spec"]["podSelector"], own)
    ]
    side = "to" if way == "egress" else "from"
    return not policies or any(
        port in {each["port"] for each in rule["ports"]}
        and any(selects(peer[kind], labels) for peer in rule[side] if kind in peer)
        for policy in policies
        for rule in policy.get(way, [])
    )

"""The containers are the processes of `stack/processes.py`, with the same settings and the same libraries."""

import importlib
import os
import re
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from shared.config import ROOT
from shared.process import heartbeat
from stack import temporal
from stack.processes import PROCESSES, Process
from tests.system.servers import SERVICES

FILE = ROOT / "docker-compose.saga.yml"
CONTAINERS: Mapping[str, Mapping[str, Any]] = yaml.safe_load(FILE.read_text())["services"]
BUILT = {name: container for name, container in CONTAINERS.items() if "build" in container}
OURS = [process for process in PROCESSES.values() if not process.server]
WEBS = [process for process in OURS if process.ports]
WORKERS = [process for process in OURS if not process.ports]
SERVERS = {"postgres": "db", "rabbitmq": "rabbitmq", "temporal": "temporal"}
WATCHERS = {"prometheus", "grafana", "jaeger"}  # tests/contract/test_observability.py
WITH_DATA = [process for process in OURS if process.package]
# Settings that every service has, but a service without a database, sagas and workers does not read.
OF_A_DATABASE = {"RABBITMQ_URL", "TOPOLOGY_SECONDS", "PARTITIONS", "QUEUE_REPLICAS", "LOCK_SECONDS"}
OF_A_DATABASE |= {"STATEMENT_SECONDS", "SAGA_RETENTION_DAYS", "STEP_RETENTION_DAYS", "KEY_RETENTION_DAYS"}
OF_A_DATABASE |= {"METRICS_ADDRESS", "OTEL_EXPORTER_OTLP_ENDPOINT", "PURGE_SECONDS"}


def _name(process: Process) -> str:
    return process.name


def test_whoever_names_no_file_means_the_same_one() -> None:
    assert (ROOT / "docker-compose.yml").samefile(FILE)


def test_there_is_a_container_for_each_process_and_a_job_for_each_schema() -> None:
    jobs = {f"{service}-migrations" for service in SERVICES}
    assert CONTAINERS.keys() == {*map(_name, OURS), *SERVERS.values(), *jobs, "db-logins", *WATCHERS}


@pytest.mark.parametrize("process", WEBS, ids=_name)
def test_web_processes_are_published_on_their_well_known_ports(process: Process) -> None:
    ((setting, port),) = process.ports.items()
    assert CONTAINERS[process.name]["ports"] == [f"${{PUBLISH_ADDRESS:-127.0.0.1}}:${{{setting}:-{port}}}:8000"]
    told = {each.get("environment", {}).get(process.url_setting) for each in CONTAINERS.values()}
    assert told <= {None, f"http://{process.name}:8000"}


@pytest.mark.parametrize("name", SERVERS)
def test_so_are_the_servers(name: str) -> None:
    wanted = [
        f"127.0.0.1:${{{setting}:-{port}}}:{port}"  # whatever else is published
        for setting, port in PROCESSES[name].ports.items()
        if port
    ]
    assert CONTAINERS[SERVERS[name]]["ports"] == wanted


@pytest.mark.parametrize("process", WORKERS, ids=_name)
def test_workers_are_run_as_they_are_elsewhere_and_as_often(process: Process) -> None:
    container = CONTAINERS[process.name]
    assert container["command"] == " ".join(["python", *process.command])
    assert container.get("scale", 1) == process.copies
    assert "ports" not in container


class Health(BaseHTTPRequestHandler):
    """Answers /health with 200 or 503."""

    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.mark.parametrize("process", WEBS, ids=_name)
def test_a_web_process_is_well_as_long_as_it_says_so_whatever_proxy_its_container_is_told_of(process: Process) -> None:
    kind, _, *arguments = CONTAINERS[process.name]["healthcheck"]["test"]
    told = {"http_proxy": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9", "PATH": os.environ["PATH"]}
    assert kind == "CMD"
    for status, well in ((200, True), (503, False)):
        handler = type("Handler", (Health,), {"status": status})
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            command = [sys.executable, *(each.replace("8000", str(server.server_port)) for each in arguments)]
            assert (subprocess.run(command, env=told, check=False, timeout=60).returncode == 0) == well
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("process", WORKERS, ids=_name)
def test_a_worker_is_well_as_long_as_its_heartbeat_says_so(process: Process, tmp_path: Path) -> None:
    kind, command = CONTAINERS[process.name]["healthcheck"]["test"]
    file = tmp_path / "heartbeat"

    def is_well() -> bool:
        env = {**os.environ, heartbeat.FILE: str(file)}
        return subprocess.run(["sh", "-c", command.replace("$$", "$")], env=env, check=False).returncode == 0

    assert kind == "CMD-SHELL"
    assert not is_well(), "it has not begun"
    file.touch()
    assert is_well()
    file.write_text("events has not gone round for 60 s\n")
    assert not is_well()
    file.write_text("")
    then = time.time() - heartbeat.STALE_SECONDS - 1
    os.utime(file, (then, then))
    assert not is_well()


def test_an_image_says_where_the_heartbeat_is_and_that_can_be_written() -> None:
    (file,) = re.findall(rf"\b{heartbeat.FILE}=(\S+)", (ROOT / "Dockerfile").read_text())
    folders = {each.partition(":")[0] for process in WORKERS for each in CONTAINERS[process.name]["tmpfs"]}
    assert {str(Path(file).parent)} == folders


@pytest.mark.parametrize("service", sorted({each["build"]["args"]["SERVICE"] for each in BUILT.values()}))
def test_whatever_an_image_is_made_of_is_sent_to_its_build(service: str) -> None:
    told = (ROOT / "Dockerfile").read_text().replace("${SERVICE}", service)
    copied = {source for line in re.findall(r"^COPY (?!--)(.+) \S+$", told, re.MULTILINE) for source in line.split()}
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied >= {"shared", service, "requirements-temporal.lock"}
    assert copied <= sent


@pytest.mark.parametrize("process", WITH_DATA, ids=_name)
def test_all_of_a_service_is_one_image_and_waits_for_its_schema(process: Process) -> None:
    container, job = CONTAINERS[process.name], CONTAINERS[f"{process.package}-migrations"]
    assert job["command"] == f"python -m {process.package}.init_db"
    extra = {} if process.package == "dashboard" else {"EXTRA": "${COMPOSE_PROFILES:-}"}
    assert container["build"] == job["build"] == {"context": ".", "args": {"SERVICE": process.package, **extra}}
    assert "image" not in container.keys() | job.keys(), "a name that two builds give, or that is pulled"
    condition = container["depends_on"][f"{process.package}-migrations"]["condition"]
    assert condition == "service_completed_successfully"


@pytest.mark.parametrize("service", SERVICES)
def test_every_setting_is_passed_on(service: str) -> None:
    fields = importlib.import_module(f"{service}.config").Settings.model_fields
    names = {name.upper() for name, field in fields.items() if field.validation_alias is None}
    names |= {f"{service.upper()}_DATABASE_URL", "DATABASE_URL"}
    assert names - CONTAINERS[service]["environment"].keys() == set()


def test_so_is_every_setting_of_the_dashboard_which_waits_for_nobody() -> None:
    names = {name.upper() for name in importlib.import_module("dashboard.config").Settings.model_fields}
    container = CONTAINERS["dashboard"]
    assert container["environment"].keys() == names - OF_A_DATABASE
    assert container["build"] == {"context": ".", "args": {"SERVICE": "dashboard"}}
    assert "depends_on" not in container


def test_images_have_the_libraries_that_were_tested_and_no_others() -> None:
    images, all_of_them = (_pinned(name) for name in ("deploy/requirements.lock", "requirements.lock"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {canonicalize_name(Requirement(each).name) for each in project["dependencies"]}
    assert images.items() <= all_of_them.items()
    assert needed <= images.keys()
    assert not images.keys() & {"pytest", "mypy", "supervisor"}


def test_temporal_is_left_out_unless_it_is_chosen_and_is_then_as_on_this_machine() -> None:
    container = CONTAINERS["temporal"]
    assert container["profiles"] == ["temporal"]
    assert {name for name, each in CONTAINERS.items() if "profiles" in each} == {"temporal", *WATCHERS}
    assert container["build"] == CONTAINERS["saga_orchestrator"]["build"], "the image that has its binary"
    words = container["command"].split()
    told = {f"--search-attribute {each}" for each in temporal.SEARCH_ATTRIBUTES}
    assert words[:4] == ["temporal", "server", "start-dev", "--headless"]
    assert all(each in container["command"] for each in told)
    assert container["environment"]["USER"], (
        "without a name of its user, which the image does not have, it ends at once"
    )


def test_no_container_makes_a_volume_without_a_name_which_down_would_leave() -> None:
    kept = {
        (container["image"], volume.partition(":")[2])
        for container in CONTAINERS.values()
        for volume in container.get("volumes", ())
        if "image" in container and not volume.startswith(".")
    }
    for name, container in CONTAINERS.items():
        told = {each.partition(":")[0] for each in container.get("tmpfs", ())}
        told |= {each.partition(":")[2] for each in container.get("volumes", ())}
        assert {path for image, path in kept if image == container.get("image")} <= told, name


def _pinned(file: str) -> dict[str, str]:
    """Return each package with its version and hashes."""
    entries = re.split(r"\n(?=\w)", (ROOT / file).read_text().strip())
    return {entry.partition("==")[0]: entry for entry in entries}

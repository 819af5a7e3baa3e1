"""Prometheus scrapes every process; alerts and dashboards are whole, and shown as they are in the repository."""

import shutil
import subprocess
from itertools import combinations
from typing import Any

import pytest
import yaml

from shared.config import ROOT
from tests.contract.test_compose import CONTAINERS, OURS
from tests.system.promql import FOLDER, dashboards, names_in, queries, rules

PROMETHEUS = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
JOBS = {job["job_name"]: job for job in PROMETHEUS["scrape_configs"]}
PROFILE = "observability"


def discovery(job: str) -> dict[str, Any]:
    (found,) = JOBS[job]["dns_sd_configs"]
    return dict(found)


def test_prometheus_finds_every_process_that_shows_metrics() -> None:
    found = [*discovery("web")["names"], *discovery("worker")["names"]]
    assert sorted(found) == sorted(process.name for process in OURS if process.name != "dashboard")
    assert set(discovery("worker")["names"]) == {process.name for process in OURS if process.worker}


def test_it_asks_at_the_ports_where_they_are() -> None:
    assert discovery("web")["port"] == 8000
    addresses = {CONTAINERS[name]["environment"]["METRICS_ADDRESS"] for name in discovery("worker")["names"]}
    assert addresses == {f"0.0.0.0:{discovery('worker')['port']}"}
    assert JOBS["rabbitmq"]["static_configs"] == [{"targets": ["rabbitmq:15692"]}]


def test_it_reads_the_rules_that_are_there() -> None:
    assert PROMETHEUS["rule_files"] == ["alerts.yml"]
    assert "./deploy/observability:/etc/prometheus:ro" in CONTAINERS["prometheus"]["volumes"]


def test_each_alert_has_a_name_of_its_own_a_severity_and_says_what_is_wrong() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names) > 15
    assert {rule["labels"]["severity"] for rule in rules()} == {"page", "ticket"}
    assert all(rule["annotations"]["summary"] for rule in rules())


def test_it_is_said_what_to_do_about_each_alert() -> None:
    said = (ROOT / "docs" / "operations.md").read_text()
    assert [rule["alert"] for rule in rules() if f"`{rule['alert']}`" not in said] == []


def test_the_names_in_a_query_are_found() -> None:
    query = 'sum by (style) (rate(a_total{b="c or d"}[5m])) / time() > 0.5 and max by (e) (f:g) or absent(up)'
    assert names_in(query) == {"a_total", "f:g", "up"}
    assert all(names_in(each) for each in queries())


@pytest.mark.parametrize("name", sorted(dashboards()))
def test_a_dashboard_is_whole(name: str) -> None:
    board = dashboards()[name]
    sources = yaml.safe_load((FOLDER / "grafana/provisioning/datasources/datasources.yml").read_text())["datasources"]
    known = {source["uid"] for source in sources}
    panels = board["panels"]
    assert board["uid"] == name
    assert len({panel["id"] for panel in panels}) == len(panels)
    used = {target["datasource"]["uid"] for panel in panels for target in panel.get("targets", ())}
    assert used == {"prometheus"} <= known
    for one, other in combinations((panel["gridPos"] for panel in panels), 2):
        apart = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert apart or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]


def test_grafana_shows_them_and_asks_the_containers_that_there_are() -> None:
    volumes = CONTAINERS["grafana"]["volumes"]
    providers = yaml.safe_load((FOLDER / "grafana/provisioning/dashboards/dashboards.yml").read_text())["providers"]
    assert [f"./deploy/observability/grafana/dashboards:{each['options']['path']}:ro" for each in providers] <= volumes
    assert "./deploy/observability/grafana/provisioning:/etc/grafana/provisioning:ro" in volumes
    sources = yaml.safe_load((FOLDER / "grafana/provisioning/datasources/datasources.yml").read_text())["datasources"]
    assert {source["url"].split("/")[2].partition(":")[0] for source in sources} == {"prometheus", "jaeger"}


@pytest.mark.parametrize("name", ["prometheus", "grafana", "jaeger"])
def test_they_run_when_the_profile_is_chosen_and_are_published_on_loopback_only(name: str) -> None:
    container = CONTAINERS[name]
    assert container["profiles"] == [PROFILE]
    assert all(port.startswith("127.0.0.1:${") for port in container["ports"])
    assert container["read_only"]
    assert container["cap_drop"] == ["ALL"]


def promtool(*arguments: str) -> None:
    """Run promtool; fail with what it says."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed (Debian: it is in the package prometheus)")
    checked = subprocess.run([found, *arguments], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr + checked.stdout


def test_promtool_finds_nothing_wrong() -> None:
    promtool("check", "config", str(FOLDER / "prometheus.yml"))


def test_alerts_fire_when_they_are_to_and_not_otherwise() -> None:
    promtool("test", "rules", str(ROOT / "tests" / "contract" / "alert_tests.yml"))

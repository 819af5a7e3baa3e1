"""What RabbitMQ shows Prometheus of each queue, which only its own plugin knows while no worker is there."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests
import yaml

from shared.testing import wait_until
from stack.ports import any_free
from tests.system.brokers import OwnBroker, needs_rabbitmq
from tests.system.exposition import Exposition
from tests.system.promql import FOLDER, labels_in, names_in, queries
from tests.system.topology import declare_topology

pytestmark = needs_rabbitmq
SECONDS = 30


def scrape(url: str) -> Exposition:
    """What Prometheus gets, by its own configuration."""
    jobs: list[dict[str, Any]] = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    (job,) = (each for each in jobs if each["job_name"] == "rabbitmq")
    reply = requests.get(f"{url}{job['metrics_path']}", params=job["params"], timeout=SECONDS)
    reply.raise_for_status()
    return Exposition([reply.text])


@pytest.fixture
def metrics_url(own_rabbitmq: OwnBroker) -> Iterator[str]:
    """Where the broker's plugin answers, which images and operators enable by default."""
    port = any_free()
    listen = f'[{{port, {port}}}, {{ip, "127.0.0.1"}}], [{{persistent, true}}]'
    own_rabbitmq.control("eval", f"application:set_env(rabbitmq_prometheus, tcp_config, {listen}).")
    own_rabbitmq.control("enable", "rabbitmq_prometheus", tool="rabbitmq-plugins")
    yield f"http://127.0.0.1:{port}"
    own_rabbitmq.control("disable", "rabbitmq_prometheus", tool="rabbitmq-plugins")


def test_dashboards_and_alerts_name_what_rabbitmq_tells_of_each_queue(
    own_rabbitmq: OwnBroker, metrics_url: str
) -> None:
    declare_topology(own_rabbitmq.url)
    found = scrape(metrics_url)
    named = {name for query in queries() for name in names_in(query) if name.startswith("rabbitmq_")}
    assert len(named) >= 3
    assert named - found.names == set()
    selected = {each for query in queries() for each in labels_in(query) if each[0] in named}
    assert {label for _, label in selected} == {"queue"}

    def told() -> bool:
        found = scrape(metrics_url)
        queues = {each.labels["queue"] for each in found.samples if each.name == "rabbitmq_detailed_queue_messages"}
        return {"pagos", "pagos.dead"} <= queues

    wait_until(told, "RabbitMQ counts the queues, which it does every five seconds", SECONDS)

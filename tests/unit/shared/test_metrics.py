"""What every process counts and measures."""

import socket
import threading
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from urllib.request import urlopen
from uuid import uuid4

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest
from pydantic import ValidationError

from shared import metrics
from shared.config import ServiceSettings
from shared.ids import new_id
from shared.process import metrics_server
from shared.testing import wait_until
from stack.ports import any_free
from tests.system.exposition import Exposition

NOW = datetime.now(UTC)
HANGING = 30.0  # seconds; only keeps a test from hanging


def shown() -> Exposition:
    return Exposition([generate_latest(metrics.PROCESS).decode()])


def test_a_saga_is_measured_from_the_time_in_its_id() -> None:
    ends = datetime.now(UTC) + timedelta(seconds=20)
    metrics.saga_ended("one", "completed", new_id(), ends, ends - timedelta(seconds=3))
    assert 19 < shown().sum("saga_duration_seconds_sum", style="one") < 60
    assert shown().sum("saga_books_open_seconds_sum", style="one") == 3


def test_a_saga_without_such_an_id_or_without_an_effect_is_not_measured() -> None:
    metrics.saga_ended("two", "compensated", uuid4(), NOW, None)
    assert shown().sum("saga_duration_seconds_count", style="two") == 0
    assert shown().sum("saga_books_open_seconds_count", style="two") == 0


def test_a_saga_that_is_undone_days_later_took_as_long_as_its_compensation() -> None:
    ends = datetime.now(UTC) + timedelta(days=3)
    metrics.saga_ended("five", metrics.UNDONE, new_id(), ends, ends - timedelta(seconds=2))
    assert shown().sum("saga_duration_seconds_sum", style="five", status="undone") == 2
    assert shown().sum("saga_duration_seconds_count", style="five") == 1


def test_clocks_that_differ_make_no_time_negative() -> None:
    metrics.step_attempted(metrics.Step("three", "pagos", "pay", "action"), "succeeded", -5)
    assert shown().sum("saga_step_duration_seconds_sum", style="three") == 0
    assert shown().sum("saga_step_attempts_total", style="three") == 1


def test_what_may_be_counted_is_shown_before_it_is() -> None:
    metrics.show_attempts([(metrics.Step("four", "pagos", "pay", "action"), "unknown")])
    metrics.show_messages("four", ["order.created"])
    found = shown()
    assert found.values("saga_step_attempts_total", style="four", step="pay", outcome="unknown") == [0]
    for status in ("compensated", "completed", "undone"):
        assert found.values("saga_duration_seconds_count", style="four", status=status) == [0]
    for event_type in ("order.created", "unknown"):
        assert found.values("messages_parked_total", service="four", type=event_type) == [0]
        assert found.values("message_retries_total", service="four", type=event_type, reason="failed") == [0]


def test_a_worker_serves_its_metrics_as_long_as_it_runs() -> None:
    registry = CollectorRegistry()
    Counter("rounds", "Rounds", registry=registry).inc()
    address = f"127.0.0.1:{any_free()}"
    with metrics_server.served(address, registry), urlopen(f"http://{address}/metrics") as reply:
        assert b"rounds_total 1.0" in reply.read()
    with pytest.raises(OSError, match="refused"):
        urlopen(f"http://{address}/metrics")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_clients_that_send_nothing_keep_no_scrape_from_its_answer_and_are_few(host: str) -> None:
    registry = CollectorRegistry()
    port = any_free()
    before = threading.active_count()
    with ExitStack() as stack, metrics_server.served(f"{host}:{port}", registry):
        for _ in range(3 * metrics_server.MOST_CLIENTS):
            stack.enter_context(socket.create_connection((host.strip("[]"), port), timeout=HANGING))
            with urlopen(f"http://{host}:{port}/metrics", timeout=HANGING) as reply:
                assert reply.status == 200
        wait_until(lambda: threading.active_count() <= before + 1 + metrics_server.MOST_CLIENTS, "the oldest end")


def test_a_client_that_takes_too_long_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_server, "CLIENT_SECONDS", 0.0)
    port = any_free()
    with (
        metrics_server.served(f"127.0.0.1:{port}", CollectorRegistry()),
        socket.create_connection(("127.0.0.1", port), timeout=HANGING) as idle,
    ):
        assert idle.recv(1) == b""


def test_an_address_that_is_taken_is_named_with_its_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with (
            pytest.raises(OSError, match=f"METRICS_ADDRESS {address}: Address already in use"),
            metrics_server.served(address, CollectorRegistry()),
        ):
            pass


@pytest.mark.parametrize("address", ["9464", "localhost:", "localhost:0", "localhost:65536", "a b:1"])
def test_an_address_that_is_none_is_named_at_start(address: str) -> None:
    with pytest.raises(ValidationError, match="host:port"):
        ServiceSettings(metrics_address=address)

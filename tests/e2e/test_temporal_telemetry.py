"""With Temporal as the engine, a saga has the same trace, and is counted and measured once."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from shared.testing import wait_until
from tests.e2e.shop import (
    COMPLETED,
    DECLINED,
    EXECUTOR,
    ORCHESTRATED,
    ORCHESTRATOR,
    QUICK,
    UNHURRIED,
    Shop,
)
from tests.e2e.tracing import (
    COMPENSATED,
    LATER,
    check_way_to_completion,
    env_of,
    new_trace,
    spans_of,
    traced,
    wait_for_names,
)
from tests.system import temporal
from tests.system.exposition import Exposition, scraped
from tests.system.otlp import Collector, collecting

ACTION = {"style": ORCHESTRATED, "service": "pagos", "step": "process_payment", "direction": "action"}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as begun:
        yield begun


@pytest.fixture(scope="module")
def worker_address() -> Iterator[str]:
    """Where the worker shows its metrics."""
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{reserved.getsockname()[1]}"


@pytest.fixture(scope="module")
def shop_settings(collector: Collector, worker_address: str) -> dict[str, Any]:
    engine = temporal.settings_at(temporal.address_of_run())
    return {
        "env": {**QUICK, **UNHURRIED, **env_of(collector), **engine},
        "env_of": {EXECUTOR: {"METRICS_ADDRESS": worker_address}},
        "copies": {EXECUTOR: 1},
    }


@pytest.fixture
def worker_url(worker_address: str) -> str:
    return f"http://{worker_address}"


def test_a_trace_leads_through_every_service_to_the_end(shop: Shop, collector: Collector) -> None:
    trace_id, cart = new_trace(), shop.cart((shop.product(), 1))
    begun = shop.checkout(cart, **traced(trace_id))
    assert shop.became(begun.body["saga_id"]) == COMPLETED
    check_way_to_completion(collector, trace_id, ORCHESTRATED)


def test_a_refusal_and_each_compensation_are_in_the_trace(shop: Shop, collector: Collector) -> None:
    trace_id, cart = new_trace(), shop.cart((shop.product(), 1))
    begun = shop.checkout(cart, "declined_card", **traced(trace_id))
    assert shop.became(begun.body["saga_id"]) == DECLINED
    assert any(each.failed for each in spans_of(collector, trace_id, COMPENSATED[ORCHESTRATED]))


def test_a_worker_that_follows_on_a_killed_one_goes_on_in_the_trace(shop: Shop, collector: Collector) -> None:
    trace_id, cart = new_trace(), shop.cart((shop.product(), 1))
    shop.restart(EXECUTOR, FAULT_KILL_AT="executor.after_call.process_payment.action")
    begun = shop.checkout(cart, **traced(trace_id))
    shop.system.wait_dead(EXECUTOR)
    shop.restart(EXECUTOR)
    assert shop.became(begun.body["saga_id"]) == COMPLETED
    wait_for_names(collector, trace_id, LATER)


def test_a_saga_and_its_steps_are_counted_once_by_the_worker_that_runs_it(shop: Shop, worker_url: str) -> None:
    before = scraped(worker_url)
    assert shop.became(shop.buy(shop.product())) == COMPLETED
    after = _one_more(worker_url, before, "completed")
    assert after.sum("saga_step_attempts_total", **ACTION) - before.sum("saga_step_attempts_total", **ACTION) == 1
    assert after.sum("saga_books_open_seconds_sum") - before.sum("saga_books_open_seconds_sum") > 0
    assert scraped(shop.urls[ORCHESTRATOR]).sum("saga_duration_seconds_count") == 0, "its web process runs none"


def _one_more(url: str, before: Exposition, status: str) -> Exposition:
    """What is shown once one more saga is counted as ended, a moment after clients see its end."""
    name = "saga_duration_seconds_count"

    def shown() -> Exposition | None:
        found = scraped(url)
        return found if found.sum(name, status=status) > before.sum(name, status=status) else None

    found = wait_until(shown, "one more saga")
    assert found is not None
    return found

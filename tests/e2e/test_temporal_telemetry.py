"""With Temporal as the engine, a saga has the same trace, and is counted and measured once."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.shop import COMPLETED, EXECUTOR, ORCHESTRATED, ORCHESTRATOR, QUICK, UNHURRIED, Shop
from tests.e2e.tracing import check_compensation, check_takeover, check_way_to_completion, env_of
from tests.system import temporal
from tests.system.exposition import reserved_address, scraped, wait_for_one_more
from tests.system.otlp import Collector

ACTION = {"style": ORCHESTRATED, "service": "pagos", "step": "process_payment", "direction": "action"}


@pytest.fixture(scope="module")
def worker_address() -> Iterator[str]:
    """Where the worker shows its metrics."""
    with reserved_address() as address:
        yield address


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
    check_way_to_completion(shop, collector)


def test_a_refusal_and_each_compensation_are_in_the_trace(shop: Shop, collector: Collector) -> None:
    check_compensation(shop, collector)


def test_a_worker_that_follows_on_a_killed_one_goes_on_in_the_trace(shop: Shop, collector: Collector) -> None:
    check_takeover(shop, collector, EXECUTOR)


def test_a_saga_and_its_steps_are_counted_once_by_the_worker_that_runs_it(shop: Shop, worker_url: str) -> None:
    before = scraped(worker_url)
    assert shop.became(shop.buy(shop.product())) == COMPLETED
    after = wait_for_one_more(lambda: scraped(worker_url), before, status="completed")
    assert after.sum("saga_step_attempts_total", **ACTION) - before.sum("saga_step_attempts_total", **ACTION) == 1
    assert after.sum("saga_books_open_seconds_sum") - before.sum("saga_books_open_seconds_sum") > 0
    assert scraped(shop.urls[ORCHESTRATOR]).sum("saga_duration_seconds_count") == 0, "its web process runs none"

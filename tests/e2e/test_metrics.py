"""What Prometheus sees of checkouts: each process shows what it did, and each service what is in its database."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from shared.testing import wait_until
from stack.processes import PROCESSES
from tests.e2e.shop import CHOREOGRAPHED, ORCHESTRATED, ORCHESTRATOR, QUICK, UNHURRIED, Shop
from tests.system import temporal
from tests.system.exposition import Exposition, reserved_address, scraped, wait_for_one_more
from tests.system.promql import OF_PROMETHEUS, labels_in, names_in, queries

SERVICE_OF = {
    "reserve_inventory": "inventario",
    "process_payment": "pagos",
    "create_order": "carrito",
    "commit_inventory": "inventario",
}
BOTH_STYLES = pytest.mark.parametrize("style", [ORCHESTRATED, CHOREOGRAPHED])
_worker_urls: dict[str, str] = {}  # of workers' metrics


@pytest.fixture(scope="module")
def shop_settings(broker_url: str) -> Iterator[dict[str, Any]]:
    """Every worker shows its metrics at an address of its own."""
    with ExitStack() as stack:
        for process in PROCESSES.values():
            for name in process.instances() if process.worker else ():
                _worker_urls[name] = f"http://{stack.enter_context(reserved_address())}"
        env_of = {name: {"METRICS_ADDRESS": url.removeprefix("http://")} for name, url in _worker_urls.items()}
        yield {
            "rabbitmq_url": broker_url,
            "env_of": env_of,
            "env": {**QUICK, **UNHURRIED, "CALL_SECONDS": "5", temporal.ENGINE: "builtin"},
        }


def seen(shop: Shop) -> Exposition:
    """What all processes of the shop show."""
    return scraped(*shop.urls.values(), *_worker_urls.values())


def until_one_more(shop: Shop, before: Exposition, **labels: str) -> Exposition:
    """What is shown once one more saga is counted as ended."""
    return wait_for_one_more(lambda: seen(shop), before, **labels)


@BOTH_STYLES
def test_what_may_be_counted_is_shown_at_zero_before_any_checkout(shop: Shop, style: str) -> None:
    found = seen(shop)
    for step, service in SERVICE_OF.items():
        labels = {"style": style, "service": service, "step": step, "direction": "action", "outcome": "refused"}
        assert found.values("saga_step_attempts_total", **labels), step
    assert found.values("saga_duration_seconds_count", style=style, status="compensated")
    for service in set(SERVICE_OF.values()):
        assert found.values("messages_parked_total", service=service, type="unknown")
        assert found.values("message_retries_total", service=service, reason="failed")


@BOTH_STYLES
def test_a_completed_checkout_is_counted_once_with_each_of_its_steps(shop: Shop, style: str) -> None:
    before = seen(shop)
    shop.ended(shop.buy(shop.product(), style=style))
    after = until_one_more(shop, before, style=style, status="completed")

    def added(name: str, **labels: str) -> float:
        return after.sum(name, **labels) - before.sum(name, **labels)

    assert added("saga_duration_seconds_count", style=style) == 1
    assert 0 < added("saga_books_open_seconds_sum", style=style) < added("saga_duration_seconds_sum", style=style)
    for step, service in SERVICE_OF.items():
        action = {"style": style, "service": service, "step": step, "direction": "action"}
        assert added("saga_step_attempts_total", **action, outcome="succeeded") == 1
        assert added("saga_step_duration_seconds_count", **action) == 1
        assert 0 < added("saga_step_duration_seconds_sum", **action) < 10
    assert added("saga_step_attempts_total", direction="compensation") == 0
    assert after.sum("sagas_live", style=style) == after.sum("sagas_books_open", style=style) == 0


@BOTH_STYLES
def test_a_declined_checkout_is_counted_with_its_refusal_and_its_compensation(shop: Shop, style: str) -> None:
    before = seen(shop)
    shop.ended(shop.buy(shop.product(), method="declined_card", style=style))
    after = until_one_more(shop, before, style=style, status="compensated")

    def added(**labels: str) -> float:
        return after.sum("saga_step_attempts_total", **labels) - before.sum("saga_step_attempts_total", **labels)

    assert added(style=style, step="process_payment", outcome="refused") == 1
    assert added(style=style, step="reserve_inventory", direction="compensation", outcome="succeeded") == 1
    assert added(style=style, step="create_order", direction="action") == 0


@BOTH_STYLES
def test_a_completed_checkout_that_is_undone_has_a_status_of_its_own(shop: Shop, style: str) -> None:
    before = seen(shop)
    saga = shop.buy(shop.product(), style=style)
    assert shop.ended(saga)["status"] == "completed"
    assert shop.compensate(saga).status == 202
    assert shop.until_status(saga, "compensated")
    after = until_one_more(shop, before, style=style, status="undone")
    counts = {
        status: after.sum("saga_duration_seconds_count", style=style, status=status)
        - before.sum("saga_duration_seconds_count", style=style, status=status)
        for status in ("completed", "compensated", "undone")
    }
    assert counts == {"completed": 1, "compensated": 0, "undone": 1}


def test_a_request_that_is_not_answered_is_an_attempt_whose_outcome_is_unknown(shop: Shop) -> None:
    executors = (shop.urls[ORCHESTRATOR], *(url for name, url in _worker_urls.items() if name.startswith(ORCHESTRATOR)))
    lost = {"style": ORCHESTRATED, "service": "pagos", "step": "process_payment", "outcome": "unknown"}
    before = scraped(*executors).sum("saga_step_attempts_total", **lost)
    shop.system.freeze("pagos")
    saga = shop.buy(shop.product())
    wait_until(lambda: scraped(*executors).sum("saga_step_attempts_total", **lost) > before, "one is unanswered")
    shop.system.thaw("pagos")
    assert shop.ended(saga)["status"] == "completed"


def test_dashboards_and_alerts_name_metrics_and_labels_that_exist(shop: Shop) -> None:
    for style in (ORCHESTRATED, CHOREOGRAPHED):
        shop.ended(shop.buy(shop.product(), style=style))
        shop.ended(shop.buy(shop.product(), method="declined_card", style=style))
    found = seen(shop)
    named = {name for query in queries() for name in names_in(query)}
    ours = {name for name in named if not name.startswith("rabbitmq_")} - OF_PROMETHEUS
    assert len(ours) > 25
    assert ours - found.names == set()
    labels = {name: set(each.labels) for each in found.samples for name in [each.name]}
    unknown = {(name, label) for query in queries() for name, label in labels_in(query) if name in labels}
    assert {(name, label) for name, label in unknown if label not in labels[name]} == set()

"""One trace leads from the client's request through every service to the end of the saga, in both styles."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.e2e.shop import (
    CARRITO,
    CHOREOGRAPHED,
    COMPLETED,
    EXECUTOR,
    HANG_SECONDS,
    INVENTARIO,
    ORCHESTRATED,
    ORCHESTRATOR,
    PAGOS,
    QUICK,
    UNHURRIED,
    Shop,
)
from tests.e2e.tracing import (
    CALLER,
    check_compensation,
    check_takeover,
    check_way_to_completion,
    env_of,
    new_trace,
    spans_of,
    traced,
)
from tests.system.otlp import Collector, Seen
from tests.system.temporal import ENGINE


@pytest.fixture(scope="module")
def shop_settings(collector: Collector, broker_url: str) -> dict[str, Any]:
    env = {**QUICK, **UNHURRIED, **env_of(collector), ENGINE: "builtin"}
    return {"rabbitmq_url": broker_url, "env": env, "copies": {EXECUTOR: 1}}


@pytest.mark.parametrize("style", [ORCHESTRATED, CHOREOGRAPHED])
def test_a_trace_leads_through_every_service_to_the_end(shop: Shop, collector: Collector, style: str) -> None:
    check_way_to_completion(shop, collector, style)


def test_what_follows_from_an_event_is_below_it(shop: Shop, collector: Collector) -> None:
    trace_id, cart = new_trace(), shop.cart((shop.product(), 1))
    shop.checkout(cart, style=CHOREOGRAPHED, **traced(trace_id))
    way = [
        (CARRITO, "POST /checkout/saga"),
        (CARRITO, "publish checkout.initiated"),
        (INVENTARIO, "process checkout.initiated"),
        (INVENTARIO, "publish inventory.reserved"),
        (PAGOS, "process inventory.reserved"),
        (PAGOS, "publish payment.processed"),
    ]
    spans = {(each.service, each.name): each for each in spans_of(collector, trace_id, way)}
    assert [spans[each].parent_id for each in way] == [CALLER, *(spans[each].span_id for each in way[:-1])]


@pytest.mark.parametrize("style", [ORCHESTRATED, CHOREOGRAPHED])
def test_a_refusal_and_each_compensation_are_in_the_trace(shop: Shop, collector: Collector, style: str) -> None:
    check_compensation(shop, collector, style)


def test_an_executor_that_takes_a_saga_over_goes_on_in_its_trace(shop: Shop, collector: Collector) -> None:
    check_takeover(shop, collector, ORCHESTRATOR)


def test_a_request_with_commands_of_many_sagas_is_linked_to_the_trace_of_each(shop: Shop, collector: Collector) -> None:
    product = shop.product()
    traces = {new_trace(): shop.cart((product, 1)) for _ in range(24)}
    with ThreadPoolExecutor(len(traces)) as customers:
        begun = [customers.submit(shop.checkout, cart, **traced(trace_id)) for trace_id, cart in traces.items()]
    for each in begun:
        assert shop.became(each.result().body["saga_id"]) == COMPLETED

    def linked(spans: Sequence[Seen]) -> bool:
        return any(len(traces.keys() & {*each.links}) > 1 for each in spans if each.name == "commands to inventario")

    assert linked(collector.wait_for(linked, HANG_SECONDS))
    for trace_id in traces:
        spans_of(collector, trace_id, [(INVENTARIO, "POST /api/products/commit"), (ORCHESTRATOR, "saga completed")])

"""One trace leads from the client's request through every service to the end of the saga, in both styles."""

import secrets
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.e2e.shop import (
    CARRITO,
    CHOREOGRAPHED,
    COMPLETED,
    DECLINED,
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
from tests.system.otlp import Collector, Seen, collecting
from tests.system.temporal import ENGINE

CHOREOGRAPHY = "saga_choreography"
CALLER = "00f067aa0ba902b7"  # the span of the client, which nobody exports
CLIENT = (ORCHESTRATOR, "POST carrito")  # of several requests
COMPENSATED = {
    ORCHESTRATED: [
        (ORCHESTRATOR, "process_payment action"),
        (PAGOS, "POST /api/v1/payments/saga"),
        (ORCHESTRATOR, "reserve_inventory compensation"),
        (INVENTARIO, "POST /api/products/unreserve"),
        (CARRITO, "POST /carts/<cart_id>/release"),
        (ORCHESTRATOR, "saga compensated"),
    ],
    CHOREOGRAPHED: [
        (PAGOS, "publish payment.failed"),
        (INVENTARIO, "process payment.failed"),
        (CARRITO, "process inventory.released"),
        (CHOREOGRAPHY, "process checkout.failed"),
    ],
}
COMPLETE = {
    ORCHESTRATED: [
        (CARRITO, "POST /checkout/saga"),
        (CARRITO, "POST saga_orchestrator"),
        (ORCHESTRATOR, "POST /saga/checkout"),
        CLIENT,
        (CARRITO, "POST /carts/<cart_id>/checkout"),
        (ORCHESTRATOR, "reserve_inventory action"),
        (INVENTARIO, "POST /api/products/reserve"),
        (PAGOS, "POST /api/v1/payments/saga"),
        (CARRITO, "POST /orders"),
        (INVENTARIO, "POST /api/products/commit"),
        (CARRITO, "POST /orders/<order_id>/confirm"),
        (ORCHESTRATOR, "saga completed"),
    ],
    CHOREOGRAPHED: [
        (CARRITO, "POST /checkout/saga"),
        (CHOREOGRAPHY, "POST /saga/choreography/checkout"),
        (CARRITO, "publish checkout.initiated"),
        (INVENTARIO, "process checkout.initiated"),
        (INVENTARIO, "publish inventory.reserved"),
        (PAGOS, "process inventory.reserved"),
        (CARRITO, "process payment.processed"),
        (INVENTARIO, "process order.created"),
        (CARRITO, "process inventory.committed"),
        (CARRITO, "publish checkout.completed"),
        (CHOREOGRAPHY, "process checkout.completed"),
    ],
}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as begun:
        yield begun


@pytest.fixture(scope="module")
def shop_settings(collector: Collector, broker_url: str) -> dict[str, Any]:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "200", ENGINE: "builtin"}
    return {"rabbitmq_url": broker_url, "env": {**QUICK, **UNHURRIED, **env}, "copies": {EXECUTOR: 1}}


def traced(trace_id: str) -> dict[str, str]:
    return {"traceparent": f"00-{trace_id}-{CALLER}-01"}


def spans_of(collector: Collector, trace_id: str, wanted: Sequence[tuple[str, str]]) -> list[Seen]:
    """The spans of the trace, once all that are wanted are there, each below another one or the client's."""

    def found(spans: Sequence[Seen]) -> bool:
        mine = [each for each in spans if each.trace_id == trace_id]
        ids = {each.span_id for each in mine}
        names = {(each.service, each.name) for each in mine}
        return names.issuperset(wanted) and {each.parent_id for each in mine} <= {*ids, CALLER}

    mine = [each for each in collector.wait_for(found, HANG_SECONDS) if each.trace_id == trace_id]
    assert {(each.service, each.name) for each in mine}.issuperset(wanted)
    assert {each.parent_id for each in mine} <= {*(each.span_id for each in mine), CALLER}
    return mine


@pytest.mark.parametrize("style", [ORCHESTRATED, CHOREOGRAPHED])
def test_a_trace_leads_through_every_service_to_the_end(shop: Shop, collector: Collector, style: str) -> None:
    trace_id, cart = secrets.token_hex(16), shop.cart((shop.product(), 1))
    begun = shop.checkout(cart, style=style, **traced(trace_id))
    assert shop.became(begun.body["saga_id"]) == COMPLETED
    spans = spans_of(collector, trace_id, COMPLETE[style])
    assert not any(each.failed for each in spans)
    way = [(each.service, each.name) for each in spans]
    assert {each: way.count(each) for each in COMPLETE[style] if each != CLIENT} == dict.fromkeys(
        [each for each in COMPLETE[style] if each != CLIENT], 1
    )


def test_what_follows_from_an_event_is_below_it(shop: Shop, collector: Collector) -> None:
    trace_id, cart = secrets.token_hex(16), shop.cart((shop.product(), 1))
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
    trace_id, cart = secrets.token_hex(16), shop.cart((shop.product(), 1))
    begun = shop.checkout(cart, "declined_card", style=style, **traced(trace_id))
    assert shop.became(begun.body["saga_id"]) == DECLINED
    spans = spans_of(collector, trace_id, COMPENSATED[style])
    assert any(each.failed for each in spans) is (style == ORCHESTRATED)


def test_an_executor_that_takes_a_saga_over_goes_on_in_its_trace(shop: Shop, collector: Collector) -> None:
    trace_id, cart = secrets.token_hex(16), shop.cart((shop.product(), 1))
    shop.restart(ORCHESTRATOR, FAULT_KILL_AT="executor.after_call.process_payment.action")
    begun = shop.checkout(cart, **traced(trace_id))
    shop.system.wait_dead(ORCHESTRATOR)
    shop.restart(ORCHESTRATOR)
    assert shop.became(begun.body["saga_id"]) == COMPLETED

    wanted = {"commit_inventory action", "POST /api/products/commit", "saga completed"}

    def names(spans: Sequence[Seen]) -> set[str]:
        return {each.name for each in spans if each.trace_id == trace_id}

    assert wanted <= names(collector.wait_for(lambda spans: wanted <= names(spans), HANG_SECONDS))


def test_a_request_with_commands_of_many_sagas_is_linked_to_the_trace_of_each(shop: Shop, collector: Collector) -> None:
    product = shop.product()
    traces = {secrets.token_hex(16): shop.cart((product, 1)) for _ in range(24)}
    with ThreadPoolExecutor(len(traces)) as customers:
        begun = [customers.submit(shop.checkout, cart, **traced(trace_id)) for trace_id, cart in traces.items()]
    for each in begun:
        assert shop.became(each.result().body["saga_id"]) == COMPLETED

    def linked(spans: Sequence[Seen]) -> bool:
        return any(len(traces.keys() & {*each.links}) > 1 for each in spans if each.name == "commands to inventario")

    assert linked(collector.wait_for(linked, HANG_SECONDS))
    for trace_id in traces:
        spans_of(collector, trace_id, [(INVENTARIO, "POST /api/products/commit"), (ORCHESTRATOR, "saga completed")])

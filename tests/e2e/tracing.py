"""What a trace of a checkout has to show, in each style, and how its spans are awaited."""

import secrets
from collections.abc import Sequence, Set

from tests.e2e.shop import (
    CARRITO,
    CHOREOGRAPHED,
    CHOREOGRAPHY,
    COMPLETED,
    DECLINED,
    HANG_SECONDS,
    INVENTARIO,
    ORCHESTRATED,
    ORCHESTRATOR,
    PAGOS,
    Shop,
)
from tests.system.otlp import Collector, Seen

CALLER = "00f067aa0ba902b7"  # the span of the client, which nobody exports
LATER = {"commit_inventory action", "POST /api/products/commit", "saga completed"}  # what follows on the payment
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


def env_of(collector: Collector) -> dict[str, str]:
    """The settings of processes that export to it."""
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}


def new_trace() -> str:
    """The id of a trace that a client begins."""
    return secrets.token_hex(16)


def traced(trace_id: str) -> dict[str, str]:
    """The headers of a request within this trace."""
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


def check_way_to_completion(shop: Shop, collector: Collector, style: str = ORCHESTRATED) -> None:
    """The trace of a checkout that completes leads through every service once, to the end of the saga."""
    trace_id, cart = new_trace(), shop.cart((shop.product(), 1))
    begun = shop.checkout(cart, style=style, **traced(trace_id))
    assert shop.became(begun.body["saga_id"]) == COMPLETED
    spans = spans_of(collector, trace_id, COMPLETE[style])
    assert not any(each.failed for each in spans)
    way = [(each.service, each.name) for each in spans]
    assert {each: way.count(each) for each in COMPLETE[style] if each != CLIENT} == dict.fromkeys(
        [each for each in COMPLETE[style] if each != CLIENT], 1
    )


def check_compensation(shop: Shop, collector: Collector, style: str = ORCHESTRATED) -> None:
    """The trace of a declined checkout has the refusal and each compensation."""
    trace_id, cart = new_trace(), shop.cart((shop.product(), 1))
    begun = shop.checkout(cart, "declined_card", style=style, **traced(trace_id))
    assert shop.became(begun.body["saga_id"]) == DECLINED
    spans = spans_of(collector, trace_id, COMPENSATED[style])
    assert any(each.failed for each in spans) is (style == ORCHESTRATED)


def check_takeover(shop: Shop, collector: Collector, process: str) -> None:
    """When the process that runs a saga is killed, the trace goes on with the one that takes the saga over."""
    trace_id, cart = new_trace(), shop.cart((shop.product(), 1))
    shop.restart(process, FAULT_KILL_AT="executor.after_call.process_payment.action")
    begun = shop.checkout(cart, **traced(trace_id))
    shop.system.wait_dead(process)
    shop.restart(process)
    assert shop.became(begun.body["saga_id"]) == COMPLETED
    _wait_for_names(collector, trace_id, LATER)


def _wait_for_names(collector: Collector, trace_id: str, wanted: Set[str]) -> None:
    """Wait until the trace has spans of these names; it may lack others, of processes that were killed."""

    def found(spans: Sequence[Seen]) -> bool:
        return wanted <= {each.name for each in spans if each.trace_id == trace_id}

    assert found(collector.wait_for(found, HANG_SECONDS))

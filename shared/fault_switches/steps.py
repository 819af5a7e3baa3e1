"""Maps requests and events to the steps of a saga; a test compares this with the definitions of both styles."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from shared.event_bus import CONTRACT
from shared.fault_switches.model import Fault
from shared.saga.states import Direction

ACTION, COMPENSATION = Direction.ACTION, Direction.COMPENSATION


@dataclass(frozen=True)
class Half:
    """One half of a step. Giving stock back compensates two steps: the hold and the sale."""

    steps: tuple[str, ...]
    direction: Direction


# The endpoints of each service's steps.
ENDPOINTS: Mapping[str, Mapping[str, Half]] = {
    "inventario": {
        "/api/products/reserve": Half(("reserve_inventory",), ACTION),
        "/api/products/unreserve": Half(("reserve_inventory", "commit_inventory"), COMPENSATION),
        "/api/products/commit": Half(("commit_inventory",), ACTION),
    },
    "pagos": {
        "/api/v1/payments/saga": Half(("process_payment",), ACTION),
        "/api/v1/payments/saga/{payment_id}/refund": Half(("process_payment",), COMPENSATION),
    },
    "carrito": {
        "/orders": Half(("create_order",), ACTION),
        "/orders/{order_id}/cancel": Half(("create_order",), COMPENSATION),
        "/orders/{order_id}/confirm": Half(("confirm_order",), ACTION),
        "/carts/{cart_id}/release": Half(("release_cart",), ACTION),
    },
}

# The events that request a step.
EVENTS: Mapping[str, Half] = {
    "checkout.initiated": Half(("reserve_inventory",), ACTION),
    "inventory.reserved": Half(("process_payment",), ACTION),
    "payment.processed": Half(("create_order",), ACTION),
    "order.created": Half(("commit_inventory",), ACTION),
    "inventory.committed": Half(("confirm_order",), ACTION),
    "inventory.reserve.failed": Half(("create_order",), COMPENSATION),
    "inventory.commit.failed": Half(("create_order",), COMPENSATION),
    "order.create.failed": Half(("process_payment",), COMPENSATION),
    "order.cancelled": Half(("process_payment",), COMPENSATION),
    "payment.failed": Half(("reserve_inventory", "commit_inventory"), COMPENSATION),
    "payment.refunded": Half(("reserve_inventory", "commit_inventory"), COMPENSATION),
    "inventory.released": Half(("release_cart",), ACTION),
}


# The events that report the outcome of a step.
TELLS: Mapping[str, Half] = {
    "inventory.reserved": Half(("reserve_inventory",), ACTION),
    "inventory.reserve.failed": Half(("reserve_inventory",), ACTION),
    "payment.processed": Half(("process_payment",), ACTION),
    "payment.failed": Half(("process_payment",), ACTION),
    "order.created": Half(("create_order",), ACTION),
    "order.create.failed": Half(("create_order",), ACTION),
    "inventory.committed": Half(("commit_inventory",), ACTION),
    "inventory.commit.failed": Half(("commit_inventory",), ACTION),
    "checkout.completed": Half(("confirm_order",), ACTION),
    "order.cancelled": Half(("create_order",), COMPENSATION),
    "payment.refunded": Half(("process_payment",), COMPENSATION),
    "inventory.released": Half(("reserve_inventory", "commit_inventory"), COMPENSATION),
    "checkout.failed": Half(("release_cart",), ACTION),
}


@dataclass(frozen=True)
class StepRequest:
    """A request for one half of a step, by HTTP or by an event; `faults` are its saga's own."""

    saga_id: UUID
    half: Half
    fields: Mapping[str, Any]
    faults: tuple[Fault, ...] = field(default=())

    def suffers(self, fault: Fault) -> bool:
        """Whether the fault applies to this request."""
        if fault.step not in self.half.steps or fault.direction is not self.half.direction:
            return False
        return all(str(self.fields.get(name)) == value for name, value in fault.match.items())


def steps_of(service: str) -> tuple[str, ...]:
    """Return the steps that a service does, each once."""
    return tuple(dict.fromkeys(step for half in ENDPOINTS[service].values() for step in half.steps))


def requested_by(service: str) -> tuple[str, ...]:
    """Return the steps that a service requests from others by its events."""
    return tuple(
        step
        for name, half in EVENTS.items()
        if CONTRACT[name].publisher == service and half.direction is ACTION
        for step in half.steps
    )


def step_request(half: Half, body: Mapping[str, Any], faults: tuple[Fault, ...] = ()) -> StepRequest | None:
    """Make the request of a body, whose saga may be named by its cart; None when it names neither."""
    try:
        saga_id = UUID(str(body.get("saga_id") or body.get("cart_id")))
    except ValueError:
        return None
    return StepRequest(saga_id, half, body, faults)

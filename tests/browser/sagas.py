"""A whole shop, and a checkout of each kind in either style."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from stack.processes import PROCESSES
from tests.e2e.shop import CHOREOGRAPHED, INVENTARIO, ORCHESTRATED, QUICK, WINDOWS, Shop
from tests.system.running import RunningSystem, Spawner

STYLES = (ORCHESTRATED, CHOREOGRAPHED)
STREAMS = 64  # that the dashboard has for viewers
SCRIPT = '<script>alert(1)</script><img src="x" onerror="alert(2)">'
LONG = "a-name-of-one-word-that-is-as-long-as-names-may-be-1234567890123"


@contextmanager
def whole_shop(spawner: Spawner, database_url: str, broker_url: str, folder: Path) -> Iterator[Shop]:
    """Run all processes, with `FAULTS=true`."""
    everything = [process.name for process in PROCESSES.values() if not process.server]
    with RunningSystem(
        spawner,
        database_url,
        folder,
        rabbitmq_url=broker_url,
        processes=everything,
        copies={"saga_orchestrator-worker": 1},
        env={**QUICK, "FAULTS": "true", "STUCK_AFTER_ATTEMPTS": "3", "DASHBOARD_STREAMS": str(STREAMS)},
    ) as system:
        yield Shop(system, database_url)


def completed(shop: Shop, style: str) -> str:
    """Return a saga that completed."""
    saga = shop.buy(shop.product(), 2, style=style)
    shop.until_status(saga, "completed")
    return saga


def declined(shop: Shop, style: str) -> str:
    """Return a saga whose card was declined."""
    saga = shop.buy(shop.product(), method="declined_card", style=style)
    shop.until_status(saga, "compensated")
    return saga


def retried(shop: Shop, style: str) -> str:
    """Return a saga with several unanswered requests in a row, a delayed message, and a user with a long name."""
    saga = begun(shop, style, LONG, "paypal", "process_payment=unavailable*5,create_order=delay_message:900")
    shop.until_status(saga, "completed")
    return saga


def undone(shop: Shop, style: str) -> str:
    """Return a saga compensated by an operator after its completion. All texts that people may choose are markup."""
    body = {"name": SCRIPT.ljust(200, "x"), "price": "9.99", "quantity": 5, "sku": f"script-{uuid4()}"}
    product = shop.post(INVENTARIO, "/api/products", body).body["id"]
    saga = shop.buy(product, style=style)
    shop.until_status(saga, "completed")
    window, root = WINDOWS[style]
    shop.post(window, f"{root}/{saga}/compensate", {"reason": SCRIPT, "by": SCRIPT})
    shop.until_status(saga, "compensated")
    return saga


def begun(shop: Shop, style: str, user: str, method: str, faults: str) -> str:
    """Begin a saga with these injected faults, in the notation of `X-Fault`."""
    cart = shop.cart((shop.product(), 1), user=user)
    told = {"X_Fault": faults} if faults else {}
    reply = shop.checkout(cart, method, user=user, style=style, **told)
    assert reply.status == 202, reply.body
    return str(reply.body["saga_id"])


KINDS: dict[str, Callable[[Shop, str], str]] = {
    "completed": completed,
    "declined": declined,
    "retried": retried,
    "undone": undone,
}

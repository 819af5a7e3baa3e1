"""Checkouts worth looking at: how each went, in either style."""

from collections.abc import Callable
from uuid import uuid4

from tests.e2e.shop import CHOREOGRAPHED, INVENTARIO, ORCHESTRATED, WINDOWS, Shop

STYLES = (ORCHESTRATED, CHOREOGRAPHED)
SCRIPT = '<script>alert(1)</script><img src="x" onerror="alert(2)">'
LONG = "a-name-of-one-word-that-is-as-long-as-names-may-be-1234567890123"


def completed(shop: Shop, style: str) -> str:
    """All went well."""
    saga = shop.buy(shop.product(), 2, pattern=style)
    shop.until_status(saga, "completed")
    return saga


def declined(shop: Shop, style: str) -> str:
    """The card was declined."""
    saga = shop.buy(shop.product(), method="declined_card", pattern=style)
    shop.until_status(saga, "compensated")
    return saga


def retried(shop: Shop, style: str) -> str:
    """Several requests in a row had no answer, and a message came late; it is somebody's with a long name."""
    saga = _begun(shop, style, LONG, "process_payment=unavailable*5,create_order=delay_message:900")
    shop.until_status(saga, "completed")
    return saga


def undone(shop: Shop, style: str) -> str:
    """An operator had it undone after it had completed; what people could choose in it is markup."""
    body = {"name": SCRIPT, "price": "9.99", "quantity": 5, "sku": f"script-{uuid4()}"}
    product = shop.post(INVENTARIO, "/api/products", body).body["id"]
    saga = shop.buy(product, pattern=style)
    shop.until_status(saga, "completed")
    window, root = WINDOWS[style]
    shop.post(window, f"{root}/{saga}/compensate", {"reason": SCRIPT, "by": SCRIPT})
    shop.until_status(saga, "compensated")
    return saga


def stuck(shop: Shop) -> str:
    """Its refund fails again and again: it wants a person to look."""
    saga = _begun(shop, ORCHESTRATED, "ana", "create_order=refuse,process_payment=fail_undo*1000")
    shop.until_status(saga, "stuck")
    return saga


def _begun(shop: Shop, style: str, user: str, faults: str) -> str:
    cart = shop.cart((shop.product(), 1), user=user)
    reply = shop.checkout(cart, "paypal", user=user, pattern=style, X_Fault=faults)
    assert reply.status == 202, reply.body
    return str(reply.body["saga_id"])


KINDS: dict[str, Callable[[Shop, str], str]] = {
    "completed": completed,
    "declined": declined,
    "retried": retried,
    "undone": undone,
}

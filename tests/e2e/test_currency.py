"""A checkout is in the currency in which its cart was frozen, also when the shop's changes before it is paid."""

from typing import Any

import pytest

from tests.e2e.shop import CARRITO, CHOREOGRAPHED, ORCHESTRATED, PAGOS, QUICK, Shop


@pytest.fixture(scope="module")
def shop_settings(broker_url: str) -> dict[str, Any]:
    """pagos was started again with another currency; carrito froze carts in the former one."""
    others = {name: {"CURRENCY": "USD"} for name in (PAGOS, f"{PAGOS}-worker")}
    return {"rabbitmq_url": broker_url, "env": QUICK, "env_of": others}


@pytest.mark.parametrize("style", [ORCHESTRATED, CHOREOGRAPHED])
def test_a_checkout_is_paid_in_the_currency_of_its_cart(shop: Shop, style: str) -> None:
    cart = shop.cart((shop.product(price="4.99"), 2))
    saga_id = shop.begin(cart, style=style)
    assert shop.ended(saga_id)["status"] == "completed"
    [payment] = shop.get(PAGOS, f"/api/v1/payments/saga/{cart}").body["items"]
    [order] = shop.get(CARRITO, f"/orders/saga/{cart}").body["items"]
    assert (payment["currency"], order["currency"]) == ("EUR", "EUR")

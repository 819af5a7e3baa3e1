"""A shop in whose services faults can be switched on."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from tests.e2e.shop import CARRITO, HANG_SECONDS, INVENTARIO, PAGOS, Shop

DOES = {
    "reserve_inventory": INVENTARIO,
    "process_payment": PAGOS,
    "create_order": CARRITO,
    "commit_inventory": INVENTARIO,
}
Switch = Callable[..., None]


@pytest.fixture
def switch(shop: Shop) -> Iterator[Switch]:
    """Switch a fault on at a service, by calling this; all are switched off at the end."""

    def on(service: str, name: str, **body: Any) -> None:
        answer = requests.put(f"{shop.urls[service]}/faults/{name}", json=body, timeout=HANG_SECONDS)
        assert answer.status_code == 200, answer.text

    yield on
    for service in set(DOES.values()):
        lift(shop, service)


def lift(shop: Shop, service: str) -> None:
    """Switch all faults of a service off."""
    assert requests.delete(f"{shop.urls[service]}/faults", timeout=HANG_SECONDS).status_code == 200

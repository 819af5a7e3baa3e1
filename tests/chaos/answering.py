"""Services that die just before they answer."""

from collections.abc import Callable

from shared.http.client import PEER_FAILED, Reply
from tests.e2e.shop import CARRITO, Shop


def doom(shop: Shop, service: str, endpoint: str) -> None:
    """Have the service die before its next answer at this endpoint."""
    shop.restart(service, FAULT_KILL_AT=f"{service}.{endpoint}.before_answer")


def revive(shop: Shop, service: str) -> None:
    """Wait until the doomed service has died, then restart it."""
    shop.system.wait_dead(service)
    assert shop.system.fault_fired(service)
    shop.restart(service)


def ask_while_it_dies(shop: Shop, ask: Callable[[], Reply], way: str, service: str, endpoint: str) -> None:
    """Request a checkout at `way` while a service dies; restart that service afterwards."""
    doom(shop, service, endpoint)
    try:
        reply = ask()
    except PEER_FAILED:
        assert service == way
    else:  # carrito, or the saga service, answered although the other one died
        assert service != way
        assert reply.status == (202 if way == CARRITO else 504)  # the checkout may have begun
    revive(shop, service)

"""Services that die as they are about to answer."""

from collections.abc import Callable

from shared.http.client import PEER_FAILED, Reply
from tests.e2e.shop import CARRITO, Shop


def doom(shop: Shop, service: str, endpoint: str) -> None:
    """Have the service die the next time that it is about to answer there."""
    shop.restart(service, FAULT_KILL_AT=f"{service}.{endpoint}.before_answer")


def revive(shop: Shop, service: str) -> None:
    """Once it has died, and is dead for sure, have it back."""
    shop.system.wait_dead(service)
    assert shop.system.fault_fired(service)
    shop.restart(service)


def ask_while_it_dies(shop: Shop, ask: Callable[[], Reply], way: str, service: str, endpoint: str) -> None:
    """Ask for a checkout on this way in, of which a service dies; it is back afterwards."""
    doom(shop, service, endpoint)
    try:
        reply = ask()
    except PEER_FAILED:
        assert service == way
    else:  # the other one answered for itself
        assert service != way
        assert reply.status == (202 if way == CARRITO else 504)  # what was requested may have been done
    revive(shop, service)

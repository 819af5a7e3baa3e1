"""How many requests may wait for the end of their saga, and that no others wait because of them."""

from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

import pytest

from shared.http.client import Reply
from tests.e2e.shop import CARRITO, EXECUTOR, HANG_SECONDS, INVENTARIO, ORCHESTRATOR, QUICK, SEPARATE, Shop

THREADS, PLACES, TOO_MANY = 2, 6, 2
BOTH_WAYS = pytest.mark.parametrize("way", [CARRITO, ORCHESTRATOR])


@pytest.fixture(scope="module")
def shop_settings() -> dict[str, Any]:
    """Fewer threads than waiting requests; one executor, which can be frozen."""
    env = {**QUICK, **SEPARATE, "WEB_THREADS": str(THREADS), "WAITING_PLACES": str(PLACES)}
    return {"copies": {EXECUTOR: 1}, "env": env}


def first_answers(requests: list[Future[Reply]], count: int) -> set[Future[Reply]]:
    answered: set[Future[Reply]] = set()
    while len(answered) < count:
        done, _ = wait(set(requests) - answered, HANG_SECONDS, FIRST_COMPLETED)
        assert done, "somebody is answered"
        answered |= done
    return answered


def check_out(shop: Shop, cart: str, way: str) -> Reply:
    """Check out; repeat while the answer is "not now", since so many requests may not call carrito at once."""
    while (reply := shop.checkout(cart, way=way, Prefer="wait=25")).status == 503:
        assert reply.headers["Retry-After"] == "1"
    return reply


@BOTH_WAYS
def test_as_many_wait_as_there_are_places_and_others_are_answered_meanwhile(shop: Shop, way: str) -> None:
    product = shop.product()
    carts = [shop.cart((product, 1)) for _ in range(PLACES + TOO_MANY)]
    shop.system.freeze(EXECUTOR)
    with ThreadPoolExecutor(len(carts)) as customers:
        requests = [customers.submit(check_out, shop, cart, way) for cart in carts]
        without_place = first_answers(requests, TOO_MANY)
        for service, path in ((CARRITO, f"/carts/{carts[0]}"), (ORCHESTRATOR, "/saga"), (INVENTARIO, "/api/products")):
            assert shop.get(service, path).status == 200
        assert sum(request.done() for request in requests) == TOO_MANY, "the others still wait"
        for request in without_place:
            assert request.result().status == 202
            assert "Preference-Applied" not in request.result().headers
        shop.system.thaw(EXECUTOR)
    for request in set(requests) - without_place:
        assert (request.result().status, request.result().body["status"]) == (200, "completed")
        assert request.result().headers["Preference-Applied"] == "wait=25"

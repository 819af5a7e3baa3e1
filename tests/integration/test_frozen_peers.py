"""A frozen service does not block other requests of the services that call it, in real gunicorn processes."""

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

import pytest
import requests

from shared.ids import new_id
from tests.system.running import RunningSystem

THREADS, PLACES = 4, 6
REQUESTS = 2 * (THREADS + 2 * PLACES)  # more than there are threads for
HANGING = 120.0  # seconds; only keeps a test from hanging
WAYS = {"saga_orchestrator": "/saga", "saga_choreography": "/saga/choreography"}


def checkout(url: str, key: str | None) -> requests.Response:
    body = {
        "cart_id": str(new_id()),
        "user_id": "ana",
        "payment_method": "paypal",
        "billing_address": "1 High Street",
    }
    return requests.post(url, json=body, headers={} if key is None else {"Idempotency-Key": key}, timeout=HANGING)


def resumed(url: str) -> requests.Response:
    """Send a request as carrito does for a checkout that it began."""
    body = {
        "saga_id": str(new_id()),
        "cart_id": str(new_id()),
        "user_id": "ana",
        "payment_method": "paypal",
        "billing_address": "1 High Street",
    }
    return requests.post(url, json=body, timeout=HANGING)


ASK: dict[str, Callable[[str], requests.Response]] = {
    "together": lambda url: checkout(url, None),
    "under a key": lambda url: checkout(url, str(new_id())),
    "begun by carrito": resumed,
}


@pytest.mark.parametrize("how", ASK)
@pytest.mark.parametrize("way", WAYS)
def test_a_frozen_carrito_leaves_the_threads_of_a_sagas_service_to_others(
    start_system: Callable[..., RunningSystem], way: str, how: str
) -> None:
    system = start_system(processes=["carrito", way], env={"WEB_THREADS": str(THREADS), "WAITING_PLACES": str(PLACES)})
    url = system.url(way)
    system.freeze("carrito")
    with ThreadPoolExecutor(REQUESTS) as customers:
        pending = [customers.submit(ASK[how], f"{url}{WAYS[way]}/checkout") for _ in range(REQUESTS)]
        refused = first_answer(pending)
        others = [
            requests.get(f"{url}/health", timeout=HANGING).status_code,
            requests.get(f"{url}{WAYS[way]}/{new_id()}", timeout=HANGING).status_code,
            requests.post(f"{url}{WAYS[way]}/{new_id()}/retry", json={}, timeout=HANGING).status_code,
        ]
        still_waiting = [each for each in pending if not each.done()]
        system.thaw("carrito")
    assert (refused.status_code, refused.headers.get("Retry-After")) == (503, "1"), refused.text
    assert others == [200, 404, 404]
    assert still_waiting, "the requests that wait for carrito still wait when the others have their answers"


def first_answer(pending: list[Future[requests.Response]]) -> requests.Response:
    done, _ = wait(pending, HANGING, FIRST_COMPLETED)
    return next(iter(done)).result()

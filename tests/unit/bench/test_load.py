"""The closed loop keeps exactly so many checkouts in flight, and reports errors."""

import threading

import pytest

from bench.checkouts import Checkout
from bench.client import Client, UnexpectedAnswer
from bench.load import drive


def checkouts(count: int) -> list[Checkout]:
    return [Checkout(str(number), "ana", 1, 1, number, "credit_card") for number in range(count)]  # type: ignore[arg-type]


def clients(count: int) -> list[Client]:
    return [Client({}) for _ in range(count)]


def test_every_checkout_is_checked_out_once_and_has_a_latency() -> None:
    done: list[str] = []
    driven = drive(checkouts(50), clients(4), lambda _, checkout: done.append(checkout.cart_id))
    assert sorted(done, key=int) == [str(number) for number in range(50)]
    assert len(driven.latencies) == 50
    assert driven.seconds >= max(driven.latencies)


def test_as_many_are_in_flight_as_there_are_clients() -> None:
    everyone = threading.Barrier(5)  # passed only when five wait at once

    def way(client: Client, checkout: Checkout) -> None:
        everyone.wait(timeout=10)

    drive(checkouts(20), clients(5), way)


def test_a_client_is_never_used_by_two_at_once() -> None:
    busy: set[Client] = set()
    lock = threading.Lock()

    def way(client: Client, checkout: Checkout) -> None:
        with lock:
            assert client not in busy
            busy.add(client)
        with lock:
            busy.remove(client)

    drive(checkouts(100), clients(4), way)


def test_a_wrong_end_is_raised_and_nothing_more_is_begun() -> None:
    begun: list[str] = []

    def way(client: Client, checkout: Checkout) -> None:
        begun.append(checkout.cart_id)
        if checkout.cart_id == "3":
            raise UnexpectedAnswer("wrong")

    with pytest.raises(UnexpectedAnswer, match="wrong"):
        drive(checkouts(50), clients(1), way)
    assert begun == ["0", "1", "2", "3"]

"""A closed loop: each client begins its next checkout as soon as its last one has ended."""

import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bench.checkouts import Checkout
from bench.client import Client
from bench.styles import Way


@dataclass(frozen=True)
class Drive:
    """The seconds that all checkouts took, and the latency of each to its end, in seconds."""

    seconds: float
    latencies: Sequence[float]


def drive(checkouts: Sequence[Checkout], clients: Sequence[Client], way: Way) -> Drive:
    """Run all checkouts, one at a time for each client. Raises the error of a checkout that fails."""
    left, latencies = deque(checkouts), list[float]()
    start = threading.Barrier(len(clients) + 1)

    def work(client: Client) -> None:
        start.wait()
        try:
            while checkout := _next(left):
                began = time.perf_counter()
                way(client, checkout)
                latencies.append(time.perf_counter() - began)
        finally:
            left.clear()  # after an error, the other clients begin no more checkouts

    with ThreadPoolExecutor(len(clients)) as threads:
        working = [threads.submit(work, client) for client in clients]
        start.wait()
        began = time.perf_counter()
        for each in working:
            each.result()
    return Drive(time.perf_counter() - began, latencies)


def _next(left: deque[Checkout]) -> Checkout | None:
    try:
        return left.popleft()
    except IndexError:
        return None

"""A closed loop: each client begins its next checkout as soon as its last one has ended."""

import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bench.client import Client
from bench.patterns import Way
from bench.wishes import Wish


@dataclass(frozen=True)
class Drive:
    """How long all checkouts took together, and each of them to its end; in seconds."""

    seconds: float
    latencies: Sequence[float]


def drive(wishes: Sequence[Wish], clients: Sequence[Client], way: Way) -> Drive:
    """Check all wishes out, as many at once as there are clients. What goes wrong in one of them is raised."""
    left, latencies = deque(wishes), list[float]()
    start = threading.Barrier(len(clients) + 1)

    def work(client: Client) -> None:
        start.wait()
        try:
            while wish := _next(left):
                began = time.perf_counter()
                way(client, wish)
                latencies.append(time.perf_counter() - began)
        finally:
            left.clear()  # after an error, the others begin nothing more

    with ThreadPoolExecutor(len(clients)) as threads:
        working = [threads.submit(work, client) for client in clients]
        start.wait()
        began = time.perf_counter()
        for each in working:
            each.result()
    return Drive(time.perf_counter() - began, latencies)


def _next(left: deque[Wish]) -> Wish | None:
    try:
        return left.popleft()
    except IndexError:
        return None

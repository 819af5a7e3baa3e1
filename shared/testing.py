"""Helpers for tests of concurrent code on real servers."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.01


def concurrently(*tasks: Callable[[], T], seconds: float = 60) -> list[T]:
    """Run all tasks at the same moment, a thread each, and return their results in order.

    Raises the first task's error, if one raised; `AssertionError` when one still runs after so many seconds.
    """
    start = threading.Barrier(len(tasks))
    results: dict[int, T] = {}
    errors: list[BaseException | None] = [None] * len(tasks)

    def run(number: int, task: Callable[[], T]) -> None:
        start.wait()
        try:
            results[number] = task()
        except BaseException as error:  # noqa: BLE001, RUF100  (raised again below)
            errors[number] = error

    threads = [threading.Thread(target=run, args=each, daemon=True) for each in enumerate(tasks)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    for error in errors:
        if error is not None:
            raise error
    hanging = sum(thread.is_alive() for thread in threads)
    if hanging:
        raise AssertionError(f"{hanging} of {len(tasks)} tasks still run after {seconds} s")
    return [results[number] for number in range(len(tasks))]


def wait_until(condition: Callable[[], T], what: str, seconds: float = 30) -> T:
    """Return the condition's first true value; `AssertionError` when there is none within so many seconds.

    The limit only keeps a test from hanging. No test may depend on its length.
    """
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}; seen last: {value!r}")
        time.sleep(POLL_SECONDS)
    return value

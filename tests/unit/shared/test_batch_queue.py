"""Queued items are processed in batches, and wait no longer than the policy allows."""

import threading
from collections.abc import Callable, Iterator

import pytest

from shared.batching.policy import BatchPolicy
from shared.batching.queue import BatchQueue
from shared.testing import wait_until

Start = Callable[[BatchPolicy], BatchQueue[str]]
LONG = 60.0  # seconds; no test waits so long


class Work:
    """Records the batches; each lasts until the test ends it."""

    def __init__(self) -> None:
        self.begun: list[list[str]] = []
        self.failed: list[list[str]] = []
        self.may_end = threading.Semaphore(0)

    def __call__(self, items: list[str]) -> None:
        self.begun.append(items)
        if "broken" in items:
            raise ValueError(items)
        self.may_end.acquire(timeout=LONG)

    def until(self, *begun: list[str]) -> None:
        wait_until(lambda: self.begun == list(begun), f"the work is {begun}")


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def start_queue(work: Work) -> Iterator[Start]:
    """Start a queue, which ends with the test."""
    queues: list[BatchQueue[str]] = []

    def start(policy: BatchPolicy) -> BatchQueue[str]:
        queues.append(BatchQueue("test", work, work.failed.append, policy))
        queues[-1].start()
        return queues[-1]

    yield start
    work.may_end.release(1000)
    for each in queues:
        each.close()


def test_what_comes_alone_goes_at_once(start_queue: Start, work: Work) -> None:
    start_queue(BatchPolicy(max_size=10)).put(["a"])
    work.until(["a"])


def test_what_comes_while_one_is_at_work_goes_together(start_queue: Start, work: Work) -> None:
    queue = start_queue(BatchPolicy(max_size=10, threads=3, overtake_after=LONG))
    queue.put(["a"])
    work.until(["a"])
    queue.put(["b", "c"])
    queue.put(["d"])
    work.may_end.release()
    work.until(["a"], ["b", "c", "d"])


def test_no_more_than_the_most_go_together(start_queue: Start, work: Work) -> None:
    queue = start_queue(BatchPolicy(max_size=2, threads=3, overtake_after=LONG))
    queue.put(["a", "b", "c"])
    work.until(["a", "b"])
    work.may_end.release()
    work.until(["a", "b"], ["c"])


def test_another_thread_goes_ahead_when_the_first_takes_long(start_queue: Start, work: Work) -> None:
    queue = start_queue(BatchPolicy(max_size=10, threads=2, overtake_after=0.01))
    queue.put(["a"])
    work.until(["a"])
    queue.put(["b", "c"])
    work.until(["a"], ["b", "c"])


def test_who_is_at_work_can_let_the_next_go(work: Work) -> None:
    def let_others_go(items: list[str]) -> None:
        queue.let_next_overtake()
        work(items)

    queue: BatchQueue[str] = BatchQueue(
        "test", let_others_go, work.failed.append, BatchPolicy(max_size=10, threads=2, overtake_after=LONG)
    )
    queue.start()
    queue.put(["a"])
    work.until(["a"])
    queue.put(["b"])
    work.until(["a"], ["b"])
    work.may_end.release(2)
    queue.close()


def test_alone_they_go_side_by_side(start_queue: Start, work: Work) -> None:
    queue = start_queue(BatchPolicy(max_size=1, threads=3))
    queue.put(["a", "b", "c"])
    wait_until(lambda: sorted(work.begun) == [["a"], ["b"], ["c"]], "all go")


def test_a_queue_that_is_closed_ends_after_what_waits(start_queue: Start, work: Work) -> None:
    queue = start_queue(BatchPolicy(max_size=1))
    queue.put(["a", "b"])
    work.may_end.release(2)
    queue.close()
    assert work.begun == [["a"], ["b"]]


def test_a_defect_is_told_and_the_queue_goes_on(start_queue: Start, work: Work) -> None:
    queue = start_queue(BatchPolicy(max_size=10))
    queue.put(["broken", "a"])
    wait_until(lambda: work.failed == [["broken", "a"]], "it is told")
    queue.put(["b"])
    work.until(["broken", "a"], ["b"])

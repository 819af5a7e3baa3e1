"""What waits goes together, and nothing waits for longer than it must."""

import threading
from collections.abc import Callable, Iterator

import pytest

from saga_orchestrator.lane import Lane, Pace
from shared.testing import wait_until

LONG = 60.0  # seconds, for which no test waits


class Work:
    """What a lane did; what it is doing waits until the test lets it."""

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
def lane(work: Work) -> Iterator[Callable[[Pace], Lane[str]]]:
    """Starts a lane; it ends with the test."""
    lanes: list[Lane[str]] = []

    def start(pace: Pace) -> Lane[str]:
        lanes.append(Lane("test", work, work.failed.append, pace))
        lanes[-1].start()
        return lanes[-1]

    yield start
    work.may_end.release(1000)
    for each in lanes:
        each.close()


def test_what_comes_alone_goes_at_once(lane: Callable[[Pace], Lane[str]], work: Work) -> None:
    lane(Pace(most=10)).put(["a"])
    work.until(["a"])


def test_what_comes_while_one_is_at_work_goes_together(lane: Callable[[Pace], Lane[str]], work: Work) -> None:
    one = lane(Pace(most=10, threads=3, patience=LONG))
    one.put(["a"])
    work.until(["a"])
    one.put(["b", "c"])
    one.put(["d"])
    work.may_end.release()
    work.until(["a"], ["b", "c", "d"])


def test_no_more_than_the_most_go_together(lane: Callable[[Pace], Lane[str]], work: Work) -> None:
    one = lane(Pace(most=2, threads=3, patience=LONG))
    one.put(["a", "b", "c"])
    work.until(["a", "b"])
    work.may_end.release()
    work.until(["a", "b"], ["c"])


def test_another_thread_goes_ahead_when_the_first_takes_long(lane: Callable[[Pace], Lane[str]], work: Work) -> None:
    one = lane(Pace(most=10, threads=2, patience=0.01))
    one.put(["a"])
    work.until(["a"])
    one.put(["b", "c"])
    work.until(["a"], ["b", "c"])


def test_who_is_at_work_can_let_the_next_go(work: Work) -> None:
    def let_others_go(items: list[str]) -> None:
        one.let_next_go()
        work(items)

    one: Lane[str] = Lane("test", let_others_go, work.failed.append, Pace(most=10, threads=2, patience=LONG))
    one.start()
    one.put(["a"])
    work.until(["a"])
    one.put(["b"])
    work.until(["a"], ["b"])
    work.may_end.release(2)
    one.close()


def test_alone_they_go_side_by_side(lane: Callable[[Pace], Lane[str]], work: Work) -> None:
    one = lane(Pace(most=1, threads=3))
    one.put(["a", "b", "c"])
    wait_until(lambda: sorted(work.begun) == [["a"], ["b"], ["c"]], "all go")


def test_a_lane_that_is_closed_ends_after_what_waits(lane: Callable[[Pace], Lane[str]], work: Work) -> None:
    one = lane(Pace(most=1))
    one.put(["a", "b"])
    work.may_end.release(2)
    one.close()
    assert work.begun == [["a"], ["b"]]


def test_a_defect_is_told_and_the_lane_goes_on(lane: Callable[[Pace], Lane[str]], work: Work) -> None:
    one = lane(Pace(most=10))
    one.put(["broken", "a"])
    wait_until(lambda: work.failed == [["broken", "a"]], "it is told")
    one.put(["b"])
    work.until(["broken", "a"], ["b"])

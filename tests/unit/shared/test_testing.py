"""The helpers of tests do what they promise."""

import itertools
import threading

import pytest

from shared.testing import concurrently, wait_until


def test_tasks_run_at_the_same_moment() -> None:
    """Each waits for all others, which ends only when all run."""
    together = threading.Barrier(5)
    assert sorted(concurrently(*[together.wait] * 5)) == [0, 1, 2, 3, 4]


def test_results_come_in_the_order_of_the_tasks() -> None:
    assert concurrently(lambda: "a", lambda: "b", lambda: "c") == ["a", "b", "c"]


def test_a_task_s_error_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        concurrently(lambda: 1, lambda: 1 // 0)


def test_a_task_that_hangs_is_an_error() -> None:
    released = threading.Event()
    with pytest.raises(AssertionError, match="1 of 2 tasks still run"):
        concurrently(lambda: True, lambda: released.wait(30), seconds=0.05)
    released.set()


def test_waiting_ends_with_the_first_true_value() -> None:
    values = itertools.chain([0, None, "", "found"], itertools.repeat("too late"))
    assert wait_until(lambda: next(values), "a value") == "found"


def test_waiting_in_vain_says_what_for_and_what_was_seen() -> None:
    with pytest.raises(AssertionError, match=r"the end; seen last: \[\]"):
        wait_until(list, "the end", seconds=0.02)

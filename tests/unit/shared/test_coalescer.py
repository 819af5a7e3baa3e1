"""Concurrent calls that arrive while a batch runs share the next batch, and nothing else."""

import threading
from collections.abc import Callable, Sequence
from functools import partial

import pytest
from psycopg2 import OperationalError

from shared.batching.coalescer import Coalescer
from shared.batching.policy import BatchPolicy
from shared.errors import Conflict
from shared.testing import concurrently, wait_until

HANGING = 60.0


class Work:
    """Doubles numbers; the first call waits until the test lets it continue."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.may_go_on = threading.Event()

    def __call__(self, numbers: Sequence[int]) -> list[int | Conflict]:
        self.calls.append(list(numbers))
        if len(self.calls) == 1:
            self.may_go_on.wait(60)
        return [Conflict("odd") if number % 2 else number * 2 for number in numbers]


def outcome(call: Callable[[], int]) -> int | str:
    try:
        return call()
    except Exception as error:
        return type(error).__name__


def all_at_once(coalescer: Coalescer[int, int], work: Work, *numbers: int) -> list[int | str]:
    """Return the outcomes of a first call with 0, and of calls with these numbers that arrive during it."""

    def let_go() -> str:
        wait_until(lambda: len(coalescer._waiting) == len(numbers), "all others wait")
        work.may_go_on.set()
        return "let go"

    first = partial(outcome, partial(coalescer, 0))

    def later(number: int) -> int | str:
        wait_until(lambda: work.calls, "the first is under way")
        return outcome(partial(coalescer, number))

    return concurrently(first, *[partial(later, number) for number in numbers], let_go)[:-1]


def test_who_comes_alone_is_answered_alone() -> None:
    work = Work()
    work.may_go_on.set()
    coalescer: Coalescer[int, int] = Coalescer(work)
    assert [coalescer(2), coalescer(4)] == [4, 8]
    assert work.calls == [[2], [4]]


def test_those_who_come_while_a_call_is_under_way_share_the_next() -> None:
    work = Work()
    assert all_at_once(Coalescer(work), work, 2, 4, 6) == [0, 4, 8, 12]
    assert [sorted(call) for call in work.calls] == [[0], [2, 4, 6]]


def test_an_error_is_that_ones_alone() -> None:
    work = Work()
    assert all_at_once(Coalescer(work), work, 2, 3, 4) == [0, 4, "Conflict", 8]


def test_when_the_work_fails_for_all_each_is_tried_alone() -> None:
    work = Work()

    def breaks(numbers: Sequence[int]) -> list[int | Conflict]:
        results = work(numbers)
        if 4 in numbers:
            raise ZeroDivisionError
        return results

    assert all_at_once(Coalescer(breaks), work, 2, 4, 6) == [0, 4, "ZeroDivisionError", 12]


def test_when_the_database_is_away_nobody_is_tried_again() -> None:
    work = Work()

    def away(numbers: Sequence[int]) -> list[int | Conflict]:
        work(numbers)
        raise OperationalError

    assert all_at_once(Coalescer(away), work, 2, 4) == ["OperationalError"] * 3
    assert [sorted(call) for call in work.calls] == [[0], [2, 4]]


@pytest.mark.parametrize("error", [Conflict("no"), ZeroDivisionError()])
def test_the_error_of_who_comes_alone_is_raised(error: Exception) -> None:
    def fails(_: Sequence[int]) -> list[int | Conflict]:
        raise error

    with pytest.raises(type(error)):
        Coalescer(fails)(1)


def test_after_many_the_first_of_the_next_waits_for_as_many() -> None:
    work = Work()
    coalescer: Coalescer[int, int] = Coalescer(work, BatchPolicy(max_wait=HANGING))
    all_at_once(coalescer, work, 2, 4)
    assert sorted(concurrently(partial(coalescer, 6), partial(coalescer, 8))) == [12, 16]
    assert sorted(work.calls[2]) == [6, 8]


def test_who_does_not_come_is_waited_for_only_for_a_moment() -> None:
    work = Work()
    coalescer: Coalescer[int, int] = Coalescer(work, BatchPolicy(max_wait=0.01))
    all_at_once(coalescer, work, 2, 4, 6)
    assert [coalescer(8), coalescer(10)] == [16, 20]
    assert work.calls[2:] == [[8], [10]]


def test_a_batch_has_no_more_calls_than_its_policy_allows_and_the_next_one_has_the_rest() -> None:
    work = Work()
    coalescer: Coalescer[int, int] = Coalescer(work, BatchPolicy(max_size=2))
    assert all_at_once(coalescer, work, 2, 4, 6, 8, 10) == [0, 4, 8, 12, 16, 20]
    assert [len(call) for call in work.calls] == [1, 2, 2, 1]


def test_who_waits_for_as_many_as_lately_waits_for_no_more_than_a_batch_may_have() -> None:
    work = Work()
    coalescer: Coalescer[int, int] = Coalescer(work, BatchPolicy(max_size=2, max_wait=HANGING))
    all_at_once(coalescer, work, 2, 4, 6, 8)
    assert sorted(concurrently(partial(coalescer, 10), partial(coalescer, 12))) == [20, 24]
    assert sorted(work.calls[3]) == [10, 12]

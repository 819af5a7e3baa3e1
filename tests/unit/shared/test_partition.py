"""Splitting a batch into parts that may share a call."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from shared.batching.partition import in_unique_batches, map_accepted, partition_unique
from shared.errors import Conflict, DomainError

items = st.lists(st.tuples(st.integers(0, 3), st.integers()))


def key(item: tuple[int, int]) -> int:
    return item[0]


def test_items_of_different_keys_stay_together_in_their_order() -> None:
    assert list(partition_unique([(2, 0), (1, 0), (3, 0)], key)) == [[(2, 0), (1, 0), (3, 0)]]


def test_a_key_that_comes_again_waits_for_the_next_part() -> None:
    assert list(partition_unique([(1, 1), (2, 1), (1, 2), (1, 3), (2, 2)], key)) == [
        [(1, 1), (2, 1)],
        [(1, 2), (2, 2)],
        [(1, 3)],
    ]


def test_nothing_makes_no_parts() -> None:
    assert list(partition_unique([], key)) == []


@given(items)
def test_nothing_is_lost_and_each_key_keeps_its_order(given_items: list[tuple[int, int]]) -> None:
    parts = list(partition_unique(given_items, key))
    assert all(len({key(item) for item in part}) == len(part) for part in parts)
    assert len(parts) == max((sum(key(item) == each for item in given_items) for each in range(4)), default=0)
    in_parts = [item for part in parts for item in part]
    for each in range(4):
        assert [i for i in in_parts if key(i) == each] == [i for i in given_items if key(i) == each]


@given(items)
def test_each_item_gets_its_own_result_from_calls_in_order_that_know_no_key_twice(
    given_items: list[tuple[int, int]],
) -> None:
    calls: list[list[tuple[int, int]]] = []

    def act(part: list[tuple[int, int]]) -> list[str]:
        calls.append(part)
        return [f"did {item}" for item in part]

    assert in_unique_batches(given_items, key, act) == [f"did {item}" for item in given_items]
    assert [item for part in calls for item in part] == given_items
    assert all(len({key(item) for item in part}) == len(part) for part in calls)
    assert all(key(after[0]) in {key(item) for item in before} for before, after in pairwise(calls))


def test_what_was_refused_already_is_left_as_it_is_and_the_rest_keeps_its_order() -> None:
    refusal = Conflict("no")
    given: list[int | DomainError] = [1, refusal, 2]
    assert map_accepted(given, lambda rest: [each * 10 for each in rest]) == [10, refusal, 20]

"""Which delivered messages one acknowledgement stands for."""

from hypothesis import given
from hypothesis import strategies as st

from shared.messaging.delivery import Delivery
from shared.messaging.unacknowledged import Unacknowledged

TAGS = range(1, 9)


def delivered() -> Unacknowledged:
    return Unacknowledged({tag: Delivery(tag, {}, None, b"", "") for tag in TAGS})


@given(st.lists(st.sets(st.sampled_from(TAGS))))
def test_an_acknowledgement_for_all_up_to_one_stands_for_none_that_is_still_in_hand(batches: list[set[int]]) -> None:
    unacknowledged, in_hand = delivered(), set(TAGS)
    for batch in batches:
        tags = batch & in_hand
        oldest, others = unacknowledged.settle(tags)
        in_hand -= tags
        assert {*oldest, *others} == tags
        assert len(oldest) + len(others) == len(tags)
        assert all(tag > max(oldest, default=0) for tag in in_hand)
        assert all(any(before < tag for before in in_hand) for tag in others), "one frame is enough for the others"
        assert unacknowledged.keys() == in_hand


def test_what_is_lost_with_its_connection_knows_it() -> None:
    unacknowledged = delivered()
    (first, *_, last) = unacknowledged.values()
    unacknowledged.settle({first.tag})
    unacknowledged.lose()
    assert (first.lost, last.lost) == (False, True)
    assert not unacknowledged

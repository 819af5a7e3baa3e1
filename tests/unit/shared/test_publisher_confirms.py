"""Which published messages are settled by which of the broker's answers."""

from collections.abc import Sequence
from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from shared.messaging.publisher_confirms import PublisherConfirms

COUNT = 8
Answer = tuple[int, bool, bool]  # number, multiple, confirmed


class Channel:
    """A channel on which messages are published; each is named by its number, and settled once."""

    def __init__(self) -> None:
        self.confirms = PublisherConfirms()
        self.settled: dict[str, bool] = {}

    def publish(self, *names: str) -> None:
        for name in names:
            self.confirms.expect(name, partial(self._settle, name))

    def _settle(self, name: str, there: bool) -> None:
        assert name not in self.settled, "it is settled once"
        self.settled[name] = there


def expected(answers: Sequence[Answer], returned: set[int]) -> dict[str, bool]:
    """Return what the answers settle: each number by the first answer for it or for all up to it."""
    settled: dict[str, bool] = {}
    for number, multiple, confirmed in answers:
        for each in range(1 if multiple else number, min(number, COUNT) + 1):
            settled.setdefault(str(each), confirmed and each not in returned)
    return settled


ANSWERS = st.lists(st.tuples(st.integers(1, COUNT + 2), st.booleans(), st.booleans()), max_size=12)


@given(answers=ANSWERS, returned=st.sets(st.integers(1, COUNT)))
def test_each_message_is_settled_by_the_first_answer_for_it_whatever_their_order(
    answers: list[Answer], returned: set[int]
) -> None:
    channel = Channel()
    channel.publish(*(str(number) for number in range(1, COUNT + 1)))
    for number in returned:
        channel.confirms.returned(str(number))
    for number, multiple, confirmed in answers:
        channel.confirms.answered(number, multiple=multiple, confirmed=confirmed)
    assert channel.settled == expected(answers, returned)
    assert len(channel.confirms) == COUNT - len(channel.settled)


def test_a_message_that_was_returned_can_be_published_again() -> None:
    channel = Channel()
    channel.publish("a")
    channel.confirms.returned("a")
    channel.confirms.answered(1, multiple=False, confirmed=True)
    assert channel.settled.pop("a") is False
    channel.publish("a")
    channel.confirms.answered(2, multiple=False, confirmed=True)
    assert channel.settled == {"a": True}


def test_what_a_channel_has_not_confirmed_when_it_ends_is_settled_and_the_next_counts_from_one() -> None:
    channel = Channel()
    channel.publish("a", "b")
    channel.confirms.answered(1, multiple=False, confirmed=True)
    channel.confirms.returned("b")
    channel.confirms.channel_ended()
    assert channel.settled == {"a": True, "b": False}
    assert len(channel.confirms) == 0
    del channel.settled["b"]
    channel.publish("b")
    channel.confirms.answered(1, multiple=False, confirmed=True)
    assert channel.settled["b"], "a return on the former channel is forgotten"


def test_what_is_published_while_messages_are_settled_waits_for_an_answer_of_its_own() -> None:
    channel = Channel()
    channel.confirms.expect("a", lambda _: channel.publish("b"))
    channel.confirms.answered(9, multiple=True, confirmed=True)
    assert (len(channel.confirms), channel.settled) == (1, {})
    channel.confirms.answered(2, multiple=False, confirmed=True)
    assert channel.settled == {"b": True}

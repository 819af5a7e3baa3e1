"""Publisher confirms: which messages of a channel the broker has not confirmed yet.

The broker numbers the messages that are published on a channel, from 1, and confirms or refuses each by its number, in
any order; one answer may stand for all messages up to its number. A message that no queue takes is returned first, and
confirmed then.
"""

import itertools
from collections.abc import Callable

Settled = Callable[[bool], None]


class PublisherConfirms:
    """The unconfirmed messages of a channel, and after it, of the next one.

    Each is settled once: with True when the broker has confirmed it, with False when it was not routed, was refused, or
    no answer will come.
    """

    def __init__(self) -> None:
        self._number = 0  # of the message that was published last on the channel
        self._unconfirmed: dict[int, tuple[str, Settled]] = {}
        self._returned: set[str] = set()

    def __len__(self) -> int:
        return len(self._unconfirmed)

    def expect(self, message_id: str, settled: Settled) -> None:
        """Count a message that is published on the channel; `settled` is called when the broker has answered."""
        self._number += 1
        self._unconfirmed[self._number] = (message_id, settled)

    def returned(self, message_id: str) -> None:
        """Note that no queue takes the message; it is confirmed all the same."""
        self._returned.add(message_id)

    def answered(self, number: int, *, multiple: bool, confirmed: bool) -> None:
        """Settle the message with this number, or all up to it (`multiple`); one that is settled stays so."""
        numbers = list(itertools.takewhile(number.__ge__, self._unconfirmed)) if multiple else [number]
        for each in filter(self._unconfirmed.__contains__, numbers):
            message_id, settled = self._unconfirmed.pop(each)
            unroutable = message_id in self._returned
            self._returned.discard(message_id)
            settled(confirmed and not unroutable)

    def channel_ended(self) -> None:
        """Settle all messages as not published; the next one is the first of another channel."""
        outstanding, self._unconfirmed = self._unconfirmed, {}
        self._returned.clear()
        self._number = 0
        for _, settled in outstanding.values():
            settled(False)

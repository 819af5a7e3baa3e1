"""What a saga did is undone as a whole: no goods without their money, no sale without an order, whoever asks.

A step that stands is undone only once the saga has turned back, as carrito says, which knows who runs it: the saga's
order is gone, or the saga's own service says that it turned back. Either, once so, stays so, and can be asked for
outside of the transaction that relies on it. Who reacts to an event need not ask: it follows from such a decision.
"""

from collections.abc import Callable, Collection, Sequence
from typing import TypeVar
from uuid import UUID

from flask import current_app
from pydantic import SecretStr

from shared.errors import Conflict
from shared.http.answers import Outcome
from shared.http.bulkhead import Bulkhead
from shared.http.client import Peer

Asked = TypeVar("Asked")
MayBeUndone = Callable[[Sequence[UUID]], Collection[UUID]]  # which of these sagas' steps may be undone
PLACES = 4  # of a web process's threads, at most so many wait for carrito; the others stay free


class SagaStands(Conflict):
    """The saga stands, and is undone as a whole."""

    def __init__(self, saga_id: UUID, what: str) -> None:
        """`what` it is that would have been undone alone."""
        detail = f"{what} of saga {saga_id} is undone with the whole saga, by the service that runs it"
        super().__init__(detail, saga_id=saga_id)
        self.saga_id = saga_id


def undone(
    asked: Sequence[Asked],
    undo: Callable[[Sequence[Asked], Collection[UUID]], Sequence[Outcome]],
    may_be_undone: MayBeUndone,
) -> Sequence[Outcome]:
    """What comes of asking for steps to be undone.

    `undo` does so in a transaction of its own, and is told of which sagas it is known that they may be undone: none at
    first. What it refuses for that, it is asked for again, once it is known.
    """
    outcomes = dict(enumerate(undo(asked, ())))
    standing = {number: each.saga_id for number, each in outcomes.items() if isinstance(each, SagaStands)}
    proven = may_be_undone(sorted(set(standing.values()))) if standing else ()
    again = [number for number, saga_id in standing.items() if saga_id in proven]
    if again:
        outcomes |= zip(again, undo([asked[number] for number in again], proven), strict=True)
    return [outcomes[number] for number in range(len(asked))]


class Standing:
    """carrito, as whoever undoes a step needs it: whether a saga stands."""

    def __init__(self, carrito_url: str, service_token: SecretStr | None) -> None:
        """Without a URL there is no carrito, and whoever asks for a step to be undone is believed."""
        self._carrito = Peer("carrito", carrito_url, service_token) if carrito_url else None
        self._bulkhead = Bulkhead("carrito", PLACES)

    def of(self, saga_id: UUID) -> bool:
        """Whether the saga stands; one that never had a cart does not.

        Raises one of `PEER_FAILED` when carrito does not say.
        """
        if self._carrito is None:
            return False
        with self._bulkhead.enter():
            standing = self._carrito.get(f"/checkouts/{saga_id}/standing").success_body_if_found()
        return standing is not None and bool(standing["stands"])


def turned_back(saga_ids: Sequence[UUID]) -> Collection[UUID]:
    """Those of these sagas that do not stand, as the app's `Standing` says."""
    standing: Standing = current_app.extensions["standing"]
    return [saga_id for saga_id in saga_ids if not standing.of(saga_id)]

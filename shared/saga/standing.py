"""Refuses the compensation of a single step while its saga stands: a saga is compensated as a whole.

A saga stands until it turns back or its order is cancelled. carrito knows whether it does: it has the order, and asks
the orchestrator about the saga. Once a saga does not stand, it never stands again, so a compensation may rely on an
answer from before its transaction. Event handlers do not ask: their events follow from the decision to turn back.
"""

from collections.abc import Callable, Collection, Sequence
from typing import TypeVar
from uuid import UUID

from flask import current_app
from pydantic import BaseModel, SecretStr, StrictBool

from shared.errors import Conflict
from shared.http.answers import HttpOutcome
from shared.http.bulkhead import Bulkhead
from shared.http.client import Peer

CommandT = TypeVar("CommandT")
MayBeCompensated = Callable[[Sequence[UUID]], Collection[UUID]]  # those of these sagas whose steps may be compensated
PLACES = 4  # threads of a web process that may wait for carrito at once; the others stay free


class SagaStanding(BaseModel):
    """What `Standing` reads of carrito's answer."""

    stands: StrictBool


class SagaStands(Conflict):
    """The saga has not turned back, so no step of it is compensated alone."""

    def __init__(self, saga_id: UUID, what: str) -> None:
        """`what` names the effect that would have been compensated alone."""
        detail = f"{what} of saga {saga_id} is undone with the whole saga, by the service that runs it"
        super().__init__(detail, saga_id=saga_id)
        self.saga_id = saga_id


def compensated(
    commands: Sequence[CommandT],
    compensate: Callable[[Sequence[CommandT], Collection[UUID]], Sequence[HttpOutcome]],
    may_be_compensated: MayBeCompensated,
) -> Sequence[HttpOutcome]:
    """Run compensations; return their outcomes.

    `compensate` runs in a transaction of its own. Its second argument are the sagas of which it is known that they may
    be compensated: none in the first call. Commands that it refuses with `SagaStands` are passed to it once more when
    `may_be_compensated` names their sagas.
    """
    outcomes = dict(enumerate(compensate(commands, ())))
    standing = {number: each.saga_id for number, each in outcomes.items() if isinstance(each, SagaStands)}
    turned_back = may_be_compensated(sorted(set(standing.values()))) if standing else ()
    again = [number for number, saga_id in standing.items() if saga_id in turned_back]
    if again:
        outcomes |= zip(again, compensate([commands[number] for number in again], turned_back), strict=True)
    return [outcomes[number] for number in range(len(commands))]


class Standing:
    """Asks carrito whether a saga stands."""

    def __init__(self, carrito_url: str, service_token: SecretStr | None) -> None:
        """With an empty URL there is no carrito to ask, and every saga counts as one that turned back."""
        self._carrito = Peer("carrito", carrito_url, service_token) if carrito_url else None
        self._bulkhead = Bulkhead("carrito", PLACES)

    def of(self, saga_id: UUID) -> bool:
        """Return whether the saga stands; one that never had a cart does not.

        Raises one of `PEER_FAILED` when carrito does not say.
        """
        if self._carrito is None:
            return False
        with self._bulkhead.enter():
            standing = self._carrito.get(f"/checkouts/{saga_id}/standing").success_if_found(SagaStanding)
        return standing is not None and standing.stands


def turned_back(saga_ids: Sequence[UUID]) -> Collection[UUID]:
    """Return those of these sagas that do not stand, according to the app's `Standing`."""
    standing: Standing = current_app.extensions["standing"]
    return [saga_id for saga_id in saga_ids if not standing.of(saga_id)]

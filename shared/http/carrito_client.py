"""carrito, as the way into a saga needs it: it freezes the cart, names the saga, refuses what can't be checked out."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from pydantic import SecretStr

from shared.batching.coalescer import Together
from shared.errors import DomainError
from shared.fault_switches.header import current_fault, headers_of
from shared.http.client import PEER_FAILED, Peer, Reply
from shared.http.peer_refusal import Relayed, relayed
from shared.http.places import Places
from shared.saga.repetition import contradiction
from shared.saga.views import CheckoutIn
from shared.trace import traceparent

Asked = tuple[str, Mapping[str, Any], str | None]  # the path of a cart's checkout, the body, and the saga's faults
MOST = 50  # carts in one request


class Carts:
    """carrito's part in the beginning of a checkout. Requests that come at the same time ask for it together."""

    def __init__(self, base_url: str, service_token: SecretStr | None, saga_pattern: str, places: int) -> None:
        """At most `places` requests wait for its answers at once; the others' threads stay free for other requests."""
        self._places = Places("carrito", places)
        self._carrito = Peer("carrito", base_url, service_token)
        self._saga_pattern = saga_pattern
        self._begin: Together[Asked, Mapping[str, Any]] = Together(self._begin_all)

    def begin_checkout(self, body: CheckoutIn, key: str | None, trace: str | None) -> Mapping[str, Any]:
        """The cart, frozen for the saga that it names; repeated under an Idempotency-Key, the same one.

        `key` and `trace` are headers of the request. Raises `Relayed` with carrito's own answer when it refuses, one of
        `PEER_FAILED` when there is none.
        """
        path = f"/carts/{body.cart_id}/checkout"
        wish = {**body.model_dump(exclude={"cart_id", "saga_id"}), "saga_pattern": self._saga_pattern}
        with self._places.take():
            if key is None:
                return self._begin((path, {**wish, "traceparent": traceparent(trace)}, current_fault()))
            headers = {"Idempotency-Key": key, **({} if trace is None else {"traceparent": trace})}
            headers |= headers_of(current_fault())
            return relayed(self._carrito.post(path, wish, headers))

    def find_checkout(self, body: CheckoutIn, saga_id: UUID) -> Mapping[str, Any]:
        """What carrito froze for the saga, with which the request must agree.

        Raises `RepeatedOtherwise` when it does not, `Relayed` when carrito froze nothing for this saga, one of
        `PEER_FAILED` when it does not answer.
        """
        with self._places.take():
            frozen = relayed(self._carrito.get(f"/checkouts/{saga_id}"))
        asked = {
            **body.model_dump(exclude={"saga_id"}),
            "cart_id": str(body.cart_id),
            "saga_pattern": self._saga_pattern,
        }
        wrong = contradiction(saga_id, "the checkout", {**frozen, "saga_pattern": frozen["saga_pattern"] or ""}, asked)
        if wrong is not None:
            raise wrong
        return frozen

    def _begin_all(self, asked: Sequence[Asked]) -> list[Mapping[str, Any] | DomainError]:
        parts = [asked[start : start + MOST] for start in range(0, len(asked), MOST)]
        return [begun for part in parts for begun in self._begin_some(part)]

    def _begin_some(self, asked: Sequence[Asked]) -> list[Mapping[str, Any] | DomainError]:
        """All at once; without an answer they may all be frozen, so none is asked for again."""
        try:
            if len(asked) == 1:
                [(path, body, fault)] = asked
                return [_begun(self._carrito.post(path, body, headers_of(fault)))]
            commands = [
                {"path": path, "body": body, **({} if fault is None else {"fault": fault})}
                for path, body, fault in asked
            ]
            answer = relayed(self._carrito.post("/saga-commands", {"commands": commands}))
            return [_begun(Reply(each["status"], each["body"], {})) for each in answer["outcomes"]]
        except PEER_FAILED as error:
            return [error] * len(asked)


def _begun(reply: Reply) -> Mapping[str, Any] | DomainError:
    try:
        return relayed(reply)
    except (Relayed, *PEER_FAILED) as error:
        return error

"""Client of carrito for the two saga services: it freezes a cart, which begins a checkout, and names the saga."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from pydantic import SecretStr

from shared import telemetry
from shared.batching.coalescer import REQUESTS, Coalescer
from shared.errors import DomainError
from shared.fault_switches.header import current_fault, headers_of
from shared.http.bulkhead import Bulkhead
from shared.http.client import PEER_FAILED, Peer, PeerRefused, Reply
from shared.saga.command_client import send_alone, send_together
from shared.saga.frozen import BegunCheckoutAnswer, FrozenCart, FrozenCartAnswer, FrozenCheckout
from shared.saga.views import CheckoutIn
from shared.trace import traceparent

CARTS = replace(REQUESTS, max_size=50)  # how many carts go in one request to carrito


@dataclass(frozen=True)
class _CheckoutRequest:
    path: str
    body: Mapping[str, Any]
    fault: str | None  # the faults that are to happen to the saga
    trace: str | None  # the context of the span that it belongs to, if that is recorded


class CarritoClient:
    """What a saga service needs of carrito. Concurrent requests to freeze carts are coalesced."""

    def __init__(self, base_url: str, service_token: SecretStr | None, saga_pattern: str, max_concurrent: int) -> None:
        """At most `max_concurrent` requests wait for carrito; other threads stay free for other requests."""
        self._bulkhead = Bulkhead("carrito", max_concurrent)
        self._carrito = Peer("carrito", base_url, service_token)
        self._saga_pattern = saga_pattern
        # A separate coalescer, so that checkouts that carrito has begun do not wait behind carts that are locked.
        self._find: Coalescer[_CheckoutRequest, FrozenCart] = Coalescer(self._request_all, CARTS)
        self._freeze: Coalescer[_CheckoutRequest, FrozenCart] = Coalescer(self._request_all, CARTS)

    def begin_checkout(self, body: CheckoutIn, key: str | None, trace: str | None) -> FrozenCheckout:
        """Freeze the cart for a new saga, which carrito names; under the same Idempotency-Key, for the same saga.

        `key` and `trace` are headers of the request. Raises `PeerRefused` with carrito's own problem when it refuses,
        one of `PEER_FAILED` when it does not answer.
        """
        fault = current_fault()
        path, freeze = _path_of(body), self._request_body(body)
        with self._bulkhead.enter():
            if key is None:
                request = _CheckoutRequest(
                    path, {**freeze, "traceparent": traceparent(trace)}, fault, telemetry.current()
                )
                frozen = self._freeze(request)
            else:
                headers = {"Idempotency-Key": key, **({} if trace is None else {"traceparent": trace})}
                frozen = (
                    self._carrito.post(path, freeze, {**headers, **headers_of(fault)}).success(FrozenCartAnswer).cart
                )
        return FrozenCheckout(body, frozen, fault)

    def find_checkout(self, body: CheckoutIn, saga_id: UUID) -> FrozenCheckout:
        """Return what carrito froze for this saga, which it began itself.

        Raises `PeerRefused` when it froze nothing for this saga or the request does not agree with that, one of
        `PEER_FAILED` when it does not answer.
        """
        named = {**self._request_body(body), "saga_id": str(saga_id)}
        with self._bulkhead.enter():
            frozen = self._find(_CheckoutRequest(_path_of(body), named, None, telemetry.current()))
        return FrozenCheckout(body, frozen, current_fault())

    def checkout_of(self, saga_id: UUID) -> FrozenCheckout | None:
        """Return the checkout in this style that carrito accepted for a saga; None when there is none.

        Raises one of `PEER_FAILED` when carrito does not answer. The faults to inject are not known here.
        """
        with self._bulkhead.enter():
            begun = self._carrito.get(f"/checkouts/{saga_id}").success_if_found(BegunCheckoutAnswer)
        if begun is None or begun.saga_pattern != self._saga_pattern:
            return None
        return FrozenCheckout(begun.request, begun.cart, None)

    def _request_body(self, body: CheckoutIn) -> dict[str, Any]:
        return {**body.model_dump(exclude={"cart_id", "saga_id"}), "saga_pattern": self._saga_pattern}

    def _request_all(self, requests: Sequence[_CheckoutRequest]) -> list[FrozenCart | DomainError]:
        """Have carrito freeze these carts, or find what it froze, in one request, which is not repeated here.

        Without an answer each may have been frozen.
        """
        try:
            if len(requests) == 1:
                return [_result_of(send_alone(self._carrito, requests[0]))]
            replies = send_together(self._carrito, requests).outcomes(len(requests))
            return [_result_of(reply) for reply in replies]
        except PEER_FAILED as error:
            return [error] * len(requests)


def _path_of(body: CheckoutIn) -> str:
    return f"/carts/{body.cart_id}/checkout"


def _result_of(reply: Reply) -> FrozenCart | DomainError:
    try:
        return reply.success(FrozenCartAnswer).cart
    except (PeerRefused, *PEER_FAILED) as error:
        return error

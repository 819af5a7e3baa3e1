"""Reads the services' public APIs; the only module that asks anybody anything."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlencode

import structlog
from flask import current_app

from dashboard.config import Settings
from dashboard.listing import COUNTED, PAGE, Filters, StyleReading
from dashboard.outcome import Reading
from shared.http_client import PEER_FAILED, Peer, Reply

Json = Mapping[str, Any]
T = TypeVar("T")
log = structlog.get_logger()

# Requests of all visitors that are on their way at once; a page takes six for some 50 ms.
READERS = 32
MOST_PRODUCTS = 200  # as many as one request lists


class Unreachable(Exception):
    """A service that a page cannot do without gave no answer; `peers` are names and URLs."""

    def __init__(self, peers: Sequence[tuple[str, str]], detail: str) -> None:
        super().__init__(detail)
        self.peers = list(peers)


class Refused(Exception):
    """A service refused what it was asked for, with this status and detail."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


@dataclass(frozen=True)
class Style:
    """One style's API: the service, where its sagas are, and where their list is."""

    name: str
    service: str
    base: str
    list: str


STYLES = {
    each.name: each
    for each in (
        Style("orchestrated", "saga_orchestrator", "/saga", "/saga"),
        Style("choreographed", "saga_choreography", "/saga/choreography", "/saga/choreography/status"),
    )
}


class Services:
    """The services as the dashboard sees them."""

    def __init__(self, settings: Settings) -> None:
        self._urls = {
            "carrito": settings.carrito_service_url,
            "inventario": settings.inventario_service_url,
            "pagos": settings.pagos_service_url,
            "saga_orchestrator": settings.orchestrator_url,
            "saga_choreography": settings.choreography_url,
        }
        self._peers = {name: Peer(name, url, None, settings.dashboard_read_seconds) for name, url in self._urls.items()}
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="reader")

    def saga(self, style: Style, saga_id: str) -> tuple[Json, list[Json], Reading] | None:
        """A saga, the items of its timeline, and what became of it; None when there is none. Raises `Unreachable`."""
        path = f"{style.base}/{saga_id}"
        saga, timeline = self._at_once(
            lambda: self._needed(style.service, path), lambda: self._needed(style.service, f"{path}/timeline")
        )
        if saga is None or timeline is None:
            return None
        return saga, timeline["items"], self._outcome(saga["cart_id"])

    def saga_alone(self, style: Style, saga_id: str) -> Json | None:
        """A saga without its timeline; None when there is none. Raises `Unreachable`."""
        return self._needed(style.service, f"{style.base}/{saga_id}")

    def _outcome(self, cart_id: str) -> Reading:
        orders, payments, reservations, cart = self._at_once(
            lambda: self._optional("carrito", f"/orders/saga/{cart_id}"),
            lambda: self._optional("pagos", f"/api/v1/payments/saga/{cart_id}"),
            lambda: self._optional("inventario", f"/api/products/reservations/{cart_id}"),
            lambda: self._optional("carrito", f"/carts/{cart_id}"),
        )
        return Reading(_items(orders), _items(payments), _items(reservations), cart)

    def sagas(self, filters: Filters) -> list[StyleReading]:
        """Of each style the latest sagas, and a page of those that fit."""
        return self._at_once(*(self._reader_of(style, filters) for style in STYLES.values()))

    def _reader_of(self, style: Style, filters: Filters) -> Callable[[], StyleReading]:
        def read() -> StyleReading:
            latest = _items(self._list(style, limit=COUNTED))
            if filters.style not in {"", style.name}:
                return StyleReading(style.name, style.service, latest, None)
            page = self._list(style, **filters.asked, limit=PAGE)
            cursor = str((page or {}).get("next_cursor") or "")
            return StyleReading(style.name, style.service, latest, _items(page), cursor)

        return read

    def _list(self, style: Style, **query: Any) -> Json | None:
        return self._optional(style.service, f"{style.list}?{urlencode(query)}")

    def find(self, any_id: str) -> list[tuple[str, str]]:
        """Style and id of each saga that has this id, or whose cart or order has it. Raises `Unreachable`."""
        styles = list(STYLES.values())
        found = self._at_once(*(partial(self.saga_alone, style, any_id) for style in styles))
        sagas = [(style.name, any_id) for style, saga in zip(styles, found, strict=True) if saga is not None]
        return sagas or self._of_cart(any_id) or self._of_order(any_id)

    def _of_order(self, order_id: str) -> list[tuple[str, str]]:
        order = self._needed("carrito", f"/orders/{order_id}")
        sagas = [] if order is None else self._of_cart(str(order["cart_id"]))
        return [saga for saga in sagas if order is not None and saga[1] == str(order["saga_id"])]

    def _of_cart(self, cart_id: str) -> list[tuple[str, str]]:
        query = urlencode({"cart_id": cart_id, "limit": PAGE})
        pages = [(style, self._needed(style.service, f"{style.list}?{query}")) for style in STYLES.values()]
        return [(style.name, str(saga["saga_id"])) for style, page in pages for saga in (page or {}).get("items", ())]

    def story(self, style: Style, saga_id: str) -> tuple[Json, list[Json]] | None:
        """A saga and the items of its timeline; None when there is none. Raises `Unreachable`."""
        saga = self.saga_alone(style, saga_id)
        timeline = None if saga is None else self._needed(style.service, f"{style.base}/{saga_id}/timeline")
        return None if saga is None or timeline is None else (saga, list(timeline["items"]))

    def products(self) -> list[Json]:
        """The first products of which there are any. Raises `Unreachable`."""
        page = self._needed("inventario", f"/api/products?limit={MOST_PRODUCTS}")
        return [each for each in _items(page) or () if each["available"] > 0]

    def fill_cart(self, user: str, line: Json) -> str:
        """The id of a new cart with this in it. Raises `Unreachable`, or `Refused`."""
        cart_id = str(self._done("carrito", "/carts", {"user_id": user})["id"])
        self._done("carrito", f"/carts/{cart_id}/items", line)
        return cart_id

    def check_out(self, style: str, cart_id: str, user: str, method: str, address: str) -> str:
        """The id of the saga that checks a cart out. Raises `Unreachable`, or `Refused`."""
        wish = {"cart_id": cart_id, "user_id": user, "payment_method": method, "billing_address": address}
        return str(self._done("carrito", "/checkout/saga", {**wish, "saga_pattern": style})["saga_id"])

    def _done(self, service: str, path: str, body: Json) -> Json:
        reply = self._post(service, path, body, {})
        if reply.status >= 300:
            raise Refused(reply.status, f"{service}: {reply.body.get('detail', 'no reason given')}")
        return reply.body

    def ask(self, style: Style, saga_id: str, action: str, body: Json, token: str) -> Reply:
        """Have a saga compensated or retried, with the operator's token if there is one. Raises `Unreachable`."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self._post(style.service, f"{style.base}/{saga_id}/{action}", body, headers)

    def _post(self, service: str, path: str, body: Json, headers: Mapping[str, str]) -> Reply:
        try:
            return self._peers[service].post(path, body, headers)
        except PEER_FAILED as error:
            raise Unreachable([(service, self._urls[service])], error.detail) from error

    def _needed(self, service: str, path: str) -> Json | None:
        """The answer; None for 404. Raises `Unreachable`, and `Refused` for any other refusal."""
        try:
            reply = self._peers[service].get(path)
        except PEER_FAILED as error:
            raise Unreachable([(service, self._urls[service])], error.detail) from error
        if reply.status == 503:
            raise Unreachable([(service, self._urls[service])], f"{service}: {reply.body.get('detail', 'not now')}")
        if reply.status in {200, 404}:
            return reply.body if reply.status == 200 else None
        raise Refused(reply.status, f"{service}: {reply.body.get('detail', 'no reason given')}")

    def _optional(self, service: str, path: str) -> Json | None:
        """The answer; None when there is none, whatever the reason."""
        try:
            return self._needed(service, path)
        except (Unreachable, Refused) as error:
            log.warning("not read", service=service, path=path, error=str(error))
            return None

    def _at_once(self, *reads: Callable[[], T]) -> list[T]:
        """The results of these, which run at the same time. None of them may itself wait for readers."""
        return [future.result() for future in [self._readers.submit(read) for read in reads]]


def _items(page: Json | None) -> list[Json] | None:
    return None if page is None else list(page["items"])


def services() -> Services:
    """The services, for a request that is being handled."""
    return current_app.extensions["services"]  # type: ignore[no-any-return]

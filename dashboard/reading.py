"""What is read of the services, and asked of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlencode

from flask import current_app

from dashboard.asking import Asking, Refused, TokenNeeded, Unreachable, bearer, refusal
from dashboard.listing import COUNTED, PAGE, STATS_SECONDS, Filters, StyleReading
from dashboard.outcome import Reading
from dashboard.receipt import Receipt, receipt_of
from shared.http_client import Reply

Json = Mapping[str, Any]

CHANGES = 200  # sagas in one answer of a change feed, the most that it gives
MOST_PRODUCTS = 200  # as many as one request lists
MOST_LETTERS = 200  # of each service; as many as one request lists
REDRIVE_SECONDS = 20  # beyond what a read may take: thousands of messages are moved one by one
DEAD_LETTERS = "/saga/choreography/dead-letters"


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


class Services(Asking):
    """The services as the dashboard sees them."""

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

    def changes(self, style: Style, after: str, wait: int) -> Json:
        """What changed after this cursor (empty: where the feed is now), waited for so many seconds.

        Raises `Unreachable`, or `Refused`.
        """
        query = urlencode({"after": after, "limit": CHANGES, "wait": wait}) if after else ""
        path = f"{style.base}/changes?{query}"
        reply = self._heard(style.service, lambda peer: peer.request("GET", path, None, {}, wait))
        return self._answer(style.service, reply)

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
            stats = self._stats(style, STATS_SECONDS)
            if filters.style not in {"", style.name}:
                return StyleReading(style.name, style.service, latest, None, stats=stats)
            page = self._list(style, **filters.asked, limit=PAGE)
            cursor = str((page or {}).get("next_cursor") or "")
            return StyleReading(style.name, style.service, latest, _items(page), cursor, stats)

        return read

    def stats(self, seconds: int) -> dict[str, Json | None]:
        """How the sagas did that ended within so many seconds, by style; None for a service that does not answer."""
        found = self._at_once(*(partial(self._stats, style, seconds) for style in STYLES.values()))
        return dict(zip(STYLES, found, strict=True))

    def _stats(self, style: Style, seconds: int) -> Json | None:
        return self._optional(style.service, f"{style.base}/stats?seconds={seconds}")

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

    def receipt(self, order_id: str) -> Receipt | None:
        """The receipt of an order; None when there is none. Raises `Unreachable`, or `Refused`."""
        order = self._needed("carrito", f"/orders/{order_id}")
        if order is None:
            return None
        saga_id = str(order["saga_id"])
        ledger, movements, *sagas = self._at_once(
            partial(self._needed, "pagos", f"/api/v1/ledger/sagas/{saga_id}"),
            partial(self._needed, "inventario", f"/api/products/movements/{saga_id}"),
            *(partial(self._optional, style.service, f"{style.base}/{saga_id}") for style in STYLES.values()),
        )
        saga = next((each for each in sagas if each is not None), None)
        if ledger is None or movements is None:
            raise Refused(404, "pagos or inventario is of a version that does not tell what receipts need")
        return receipt_of(order, ledger["items"], movements["items"], saga)

    def products(self) -> list[Json]:
        """The first products of which there are any. Raises `Unreachable`."""
        page = self._needed("inventario", f"/api/products?limit={MOST_PRODUCTS}")
        return [each for each in _items(page) or () if each["available"] > 0]

    def operations(self, style: Style, before: str, token: str) -> Json:
        """A page of what operators did. Raises `Unreachable`, `Refused`, or `TokenNeeded`."""
        query = urlencode({"limit": PAGE, **({"cursor": before} if before else {})})
        return self._as_operator(style.service, f"{style.base}/operations?{query}", token)

    def require_operator(self, token: str) -> None:
        """Ask one saga service, the other if that is away, for what only operators may see.

        Raises `TokenNeeded`, `Refused`, or `Unreachable` if both are away.
        """
        first, second = STYLES.values()
        try:
            self._as_operator(first.service, f"{first.base}/operations?limit=1", token)
        except Unreachable:
            self._as_operator(second.service, f"{second.base}/operations?limit=1", token)

    def dead_letters(self, which: Json, token: str) -> Json:
        """Parked messages that fit, and redrives. Raises `Unreachable`, `Refused`, `TokenNeeded`."""
        query = urlencode({"limit": MOST_LETTERS, **which})
        return self._as_operator("saga_choreography", f"{DEAD_LETTERS}?{query}", token)

    def redrive(self, body: Json, token: str) -> Reply:
        """Have parked messages delivered again. Raises `Unreachable`."""
        return self._post("saga_choreography", f"{DEAD_LETTERS}/redrive", body, bearer(token), REDRIVE_SECONDS)

    def without_books(self, token: str) -> list[str]:
        """The services that do not tell where their audit's log is, which costs them next to nothing.

        Raises `Refused`, `TokenNeeded`, or `Unreachable` when none is left to say whether this token may see books.
        """

        def is_away(service: str) -> bool:
            try:
                self._as_operator(service, "/audit/changes", token)
            except Unreachable:
                return True
            return False

        names = list(self._urls)
        found = self._at_once(*(partial(is_away, name) for name in names))
        if all(found):
            raise Unreachable(list(self._urls.items()), "No service is there to say who may see the books.")
        return [name for name, away in zip(names, found, strict=True) if away]

    def faults(self, service: str, token: str) -> Json:
        """What is switched on at a service, and what happened. Raises `Unreachable`, `Refused`, `TokenNeeded`."""
        return self._as_operator(service, "/faults", token)

    def switch_fault(self, service: str, name: str, body: Json | None, token: str) -> None:
        """Switch a fault on, or off without a body. Raises `Unreachable`, `Refused`, `TokenNeeded`."""
        method = "DELETE" if body is None else "PUT"
        self._as_operator(service, f"/faults/{name}", token, method, body)

    def have_faults(self, token: str) -> bool:
        """Whether a checkout can name faults. Raises `Unreachable`, and `Refused` if this cannot be told."""
        try:
            self.faults("carrito", token)
        except TokenNeeded:
            return True
        except Refused as error:
            if error.status == 404:
                return False
            raise
        return True

    def fill_cart(self, user: str, lines: Sequence[Json]) -> str:
        """The id of a new cart with these in it. Raises `Unreachable`, or `Refused`."""
        cart_id = str(self._done("carrito", "/carts", {"user_id": user})["id"])
        for line in lines:
            self._done("carrito", f"/carts/{cart_id}/items", line)
        return cart_id

    def check_out(self, wish: Json, fault: str = "", token: str = "") -> str:
        """The id of the saga that checks a cart out, and suffers these faults.

        Raises `Unreachable`, `Refused`, or `TokenNeeded`: faults are for operators.
        """
        headers = {"X-Fault": fault, **bearer(token)} if fault else {}
        return str(self._done("carrito", "/checkout/saga", wish, headers)["saga_id"])

    def _done(self, service: str, path: str, body: Json, headers: Json | None = None) -> Json:
        reply = self._post(service, path, body, headers or {})
        if reply.status == 401:
            raise TokenNeeded
        if reply.status >= 300:
            raise refusal(service, reply)
        return reply.body

    def ask(self, style: Style, saga_id: str, action: str, body: Json, token: str) -> Reply:
        """Have a saga compensated or retried, with the operator's token if there is one. Raises `Unreachable`."""
        return self._post(style.service, f"{style.base}/{saga_id}/{action}", body, bearer(token))


def _items(page: Json | None) -> list[Json] | None:
    return None if page is None else list(page["items"])


def services() -> Services:
    """The services, for a request that is being handled."""
    return current_app.extensions["services"]  # type: ignore[no-any-return]

"""What is read of the services, and asked of them."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import urlencode

from flask import current_app

from dashboard.asking import Asking, Failure, Read, Refused, TokenNeeded, Unreachable, answered, bearer, known, refusal
from dashboard.config import Settings
from dashboard.evidence import Evidence, is_wanted
from dashboard.faults import PARTICIPANTS
from dashboard.listing import ENDED_SECONDS, PAGE, STATS_SECONDS, Filters, StyleReading
from dashboard.outcome import Reading
from dashboard.receipt import Receipt, receipt_of
from dashboard.shared_readings import SharedReadings
from shared.http.client import Reply

Json = Mapping[str, Any]

CHANGES = 200  # sagas in one answer of a change feed, the most that it gives
MOST_PRODUCTS = 200  # as many as one request lists
MOST_LETTERS = 200  # of each service; as many as one request lists
LETTERS_SECONDS = 10.0  # how long who looks at a saga shares a look at its letters, which holds them all back
EVIDENCE_SECONDS = 1.0  # how long a saga's page waits for what it can do without
REDRIVE_SECONDS = 20  # beyond what a read may take: thousands of messages are moved one by one
DEAD_LETTERS = "/saga/choreography/dead-letters"
ADDRESS = "1 High Street"  # no more than what a checkout wants of one


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

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._letters: SharedReadings[tuple[str, str], Json] = SharedReadings()

    def saga(self, style: Style, saga_id: str) -> tuple[Json, list[Json], Reading] | None:
        """A saga, the items of its timeline, and what became of it; None when there is none. Raises `Unreachable`."""
        until = self._deadline()
        [told] = self._stories((style, saga_id), until=until)
        return None if told is None else (*told, self._outcome(told[0]["cart_id"], until))

    def _stories(self, *wanted: tuple[Style, str], until: float | None = None) -> list[tuple[Json, list[Json]] | None]:
        """Sagas, each with the items of its timeline; None for one that there is not. Raises `Unreachable`."""
        paths = [(style.service, f"{style.base}/{saga_id}") for style, saga_id in wanted]
        reads = [self._read(service, path + end) for service, path in paths for end in ("", "/timeline")]
        found = self._all(*reads, until=until)
        pairs = zip(found[::2], found[1::2], strict=True)
        return [
            None if saga is None or timeline is None else (saga, list(timeline["items"])) for saga, timeline in pairs
        ]

    def saga_alone(self, style: Style, saga_id: str) -> Json | None:
        """A saga without its timeline; None when there is none. Raises `Unreachable`."""
        return self._needed(style.service, f"{style.base}/{saga_id}")

    def evidence(self, saga: Json, now: datetime, token: str) -> Evidence:
        """What else is known of a saga that did not go on; nothing is read of any other, or waited for long."""
        if not is_wanted(saga, now):
            return Evidence()
        saga_id = str(saga["saga_id"])
        look = partial(self._letters.get, (saga_id, token), partial(self._letters_of, saga_id, token), LETTERS_SECONDS)
        reads: list[Read[Json]] = [("saga_choreography", look), *self._fired_at(saga_id, token)]
        letters, *fired = self._tried(*reads, until=time.monotonic() + EVIDENCE_SECONDS)
        told = [page for page in fired if not isinstance(page, Failure)]
        rows = [row for page in told for row in page["fired"]] if told else None
        hidden = isinstance(letters, Refused) and letters.status == 401
        return Evidence(_items(known(letters)), rows, is_wanted=True, is_for_operators=hidden)

    def _letters_of(self, saga_id: str, token: str) -> Json:
        return self._if_allowed("saga_choreography", f"{DEAD_LETTERS}?saga_id={saga_id}&limit={MOST_LETTERS}", token)

    def _fired_at(self, saga_id: str, token: str) -> list[Read[Json]]:
        path = f"/faults?saga_id={saga_id}"
        return [(name, partial(self._if_allowed, name, path, token)) for name in PARTICIPANTS]

    def _if_allowed(self, service: str, path: str, token: str) -> Json:
        """The answer; who may not see it is refused like any other. Raises `Unreachable`, or `Refused`."""
        try:
            return self._as_operator(service, path, token)
        except TokenNeeded:
            raise Refused(401, f"{service}: this is for operators") from None

    def changes(self, style: Style, after: str, wait: int) -> Json:
        """What changed after this cursor (empty: where the feed is now), waited for so many seconds.

        Raises `Unreachable`, or `Refused`.
        """
        query = urlencode({"after": after, "limit": CHANGES, "wait": wait}) if after else ""
        path = f"{style.base}/changes?{query}"
        reply = self._heard(style.service, lambda peer: peer.request("GET", path, None, {}, wait))
        return self._answer(style.service, reply)

    def _outcome(self, cart_id: str, until: float) -> Reading:
        found = self._tried(
            self._read("carrito", f"/orders/saga/{cart_id}"),
            self._read("pagos", f"/api/v1/payments/saga/{cart_id}"),
            self._read("inventario", f"/api/products/reservations/{cart_id}"),
            self._read("carrito", f"/carts/{cart_id}"),
            until=until,
        )
        orders, payments, reservations, cart = map(known, found)
        return Reading(_items(orders), _items(payments), _items(reservations), cart)

    def sagas(self, filters: Filters) -> list[StyleReading]:
        """Of each style how it does, and a page of the sagas that fit; none of a style that has no such step.

        Raises `Refused` (422) for other senseless filters, and for a step that none of these styles has.
        """
        reads: dict[tuple[str, str], Read[Json | None]] = {}
        for style in STYLES.values():
            reads[style.name, "stats"] = self._stats(style, STATS_SECONDS)
            reads[style.name, "ended"] = self._stats(style, ENDED_SECONDS)
            if filters.style in {"", style.name}:
                query = urlencode({**filters.asked, "limit": PAGE})
                reads[style.name, "page"] = self._read(style.service, f"{style.list}?{query}")
        found = dict(zip(reads, self._tried(*reads.values()), strict=True))
        refused = [each for each in found.values() if isinstance(each, Refused) and each.status == 422]
        lists = [name for name, part in found if part == "page"]
        if len(refused) == len(lists) or any(not _has_no_such_step(each) for each in refused):
            raise refused[0]
        return [_style_reading(style, found) for style in STYLES.values()]

    def stats(self, seconds: int) -> dict[str, Json | None]:
        """How the sagas did that ended within so many seconds, by style; None for a service that does not answer."""
        found = self._tried(*(self._stats(style, seconds) for style in STYLES.values()))
        return dict(zip(STYLES, map(known, found), strict=True))

    def _stats(self, style: Style, seconds: int) -> Read[Json | None]:
        return self._read(style.service, f"{style.base}/stats?seconds={seconds}")

    def find(self, any_id: str) -> list[tuple[str, str]]:
        """Style and id of each saga that has this id, or whose cart or order has it. Raises `Unreachable`."""
        until = self._deadline()
        reads = [self._read(style.service, f"{style.base}/{any_id}") for style in STYLES.values()]
        found = self._all(*reads, until=until)
        sagas = [(style, any_id) for style, saga in zip(STYLES, found, strict=True) if saga is not None]
        return sagas or self._of_cart(any_id, until) or self._of_order(any_id, until)

    def _of_order(self, order_id: str, until: float) -> list[tuple[str, str]]:
        [order] = self._all(self._read("carrito", f"/orders/{order_id}"), until=until)
        sagas = [] if order is None else self._of_cart(str(order["cart_id"]), until)
        return [saga for saga in sagas if order is not None and saga[1] == str(order["saga_id"])]

    def _of_cart(self, cart_id: str, until: float) -> list[tuple[str, str]]:
        query = urlencode({"cart_id": cart_id, "limit": PAGE})
        reads = [self._read(style.service, f"{style.list}?{query}") for style in STYLES.values()]
        pages = zip(STYLES, self._all(*reads, until=until), strict=True)
        return [(style, str(saga["saga_id"])) for style, page in pages for saga in (page or {}).get("items", ())]

    def stories(self, ids: Mapping[str, str]) -> list[tuple[Json, list[Json]] | None]:
        """Of each style the saga with this id, and its timeline's items; None when there is none.

        Raises `Unreachable`, or `Refused`.
        """
        return self._stories(*((STYLES[style], saga_id) for style, saga_id in ids.items()))

    def receipt(self, order_id: str) -> Receipt | None:
        """The receipt of an order; None when there is none. Raises `Unreachable`, or `Refused`."""
        until = self._deadline()
        [order] = self._all(self._read("carrito", f"/orders/{order_id}"), until=until)
        if order is None:
            return None
        saga_id = str(order["saga_id"])
        reads = [
            self._read("pagos", f"/api/v1/ledger/sagas/{saga_id}"),
            self._read("inventario", f"/api/products/movements/{saga_id}"),
            *(self._read(style.service, f"{style.base}/{saga_id}") for style in STYLES.values()),
        ]
        told, moves, *sagas = self._tried(*reads, until=until)
        ledger, movements = answered(told), answered(moves)
        if ledger is None or movements is None:
            raise Refused(404, "pagos or inventario is of a version that does not tell what receipts need")
        saga = next((each for each in map(known, sagas) if each is not None), None)
        is_known = saga is not None or not any(isinstance(each, Failure) for each in sagas)
        return receipt_of(order, ledger["items"], movements["items"], saga, is_known=is_known)

    def products(self) -> list[Json]:
        """The first products of which there are any. Raises `Unreachable`."""
        page = self._needed("inventario", f"/api/products?limit={MOST_PRODUCTS}")
        return [each for each in _items(page) or () if each["available"] > 0]

    def operations(self, before: str, token: str) -> list[tuple[str, Json | None]]:
        """By style a page of what operators did; None of a service that does not answer.

        Raises `Refused`, or `TokenNeeded`.
        """
        query = urlencode({"limit": PAGE, **({"cursor": before} if before else {})})
        found = self._tried(
            *(
                (style.service, partial(self._as_operator, style.service, f"{style.base}/operations?{query}", token))
                for style in STYLES.values()
            )
        )
        for each in found:
            if isinstance(each, Refused):
                raise each
        return list(zip(STYLES, map(known, found), strict=True))

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

        reads = [(name, partial(self._as_operator, name, "/audit/changes", token)) for name in self._urls]
        found = self._tried(*reads)
        for each in found:
            if isinstance(each, Refused):
                raise each
        away = [name for name, each in zip(self._urls, found, strict=True) if isinstance(each, Unreachable)]
        if len(away) == len(reads):
            raise Unreachable(list(self._urls.items()), "No service is there to say who may see the books.")
        return away

    def faults(self, names: Sequence[str], token: str) -> list[Json | Failure]:
        """What is switched on at each of these services, and what happened. Raises `TokenNeeded`."""
        return self._tried(*((name, partial(self._as_operator, name, "/faults", token)) for name in names))

    def switch_fault(self, service: str, name: str, body: Json | None, token: str) -> None:
        """Switch a fault on, or off without a body. Raises `Unreachable`, `Refused`, `TokenNeeded`."""
        method = "DELETE" if body is None else "PUT"
        self._as_operator(service, f"/faults/{name}", token, method, body)

    def have_faults(self, token: str) -> bool:
        """Whether a checkout can name faults. Raises `Unreachable`, and `Refused` if this cannot be told."""
        try:
            self._as_operator("carrito", "/faults", token)
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

    def check_out(self, cart_id: str, style: str, wish: Json, fault: str = "", token: str = "") -> str:
        """The id of the saga that checks a cart out in this style, and suffers these faults.

        `wish` has the `user_id` and the `payment_method`. Raises `Unreachable`, `Refused`, or `TokenNeeded`: faults
        are for operators.
        """
        body = {"cart_id": cart_id, "saga_pattern": style, "billing_address": ADDRESS, **wish}
        headers = {"X-Fault": fault, **bearer(token)} if fault else {}
        return str(self._done("carrito", "/checkout/saga", body, headers)["saga_id"])

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


def _style_reading(style: Style, found: Mapping[tuple[str, str], Json | Failure | None]) -> StyleReading:
    stats, ended = (known(found[style.name, part]) for part in ("stats", "ended"))
    reading = StyleReading(style.name, style.service, stats=stats, ended=ended)
    if (style.name, "page") not in found:
        return reading
    page = found[style.name, "page"]
    if _has_no_such_step(page):
        return replace(reading, fitting=[])
    if page is None or isinstance(page, Failure):
        refused = str(page) if isinstance(page, Refused) else ""
        return replace(reading, failure=refused or f"{style.service} cannot be reached")
    return replace(reading, fitting=page["items"], next=str(page["next_cursor"] or ""))


def _has_no_such_step(found: Json | Failure | None) -> bool:
    """Whether a service refused to list the sagas that failed at a step, since its sagas have none of this name."""
    return isinstance(found, Refused) and found.fields == {"failed_step"}


def _items(page: Json | None) -> list[Json] | None:
    return None if page is None else list(page["items"])


def services() -> Services:
    """The services, for a request that is being handled."""
    return current_app.extensions["services"]  # type: ignore[no-any-return]

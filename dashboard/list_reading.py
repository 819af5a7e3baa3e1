"""Reads about many sagas: lists, statistics, changes, and searches by an id."""

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlencode

from dashboard.listing import ENDED_SECONDS, PAGE, STATS_SECONDS, Filters, StyleReading
from dashboard.service_client import Failure, Json, Read, Refused, ServiceClient, known
from dashboard.styles import STYLES, Style

CHANGES = 200  # sagas in one answer of a change feed, the most that it gives


class ListReading(ServiceClient):
    """Reads lists and statistics of sagas."""

    def sagas(self, filters: Filters) -> list[StyleReading]:
        """Return by style the statistics and a page of the sagas that fit; no page for a style without such a step.

        Raises `Refused` (422) for other senseless filters, and for a step that none of these styles has.
        """
        reads: dict[tuple[str, str], Read[Json | None]] = {}
        for style in STYLES.values():
            reads[style.name, "stats"] = self._stats(style, STATS_SECONDS)
            reads[style.name, "ended"] = self._stats(style, ENDED_SECONDS)
            if filters.style in {"", style.name}:
                query = urlencode({**filters.parameters, "limit": PAGE})
                reads[style.name, "page"] = self._read(style.service, f"{style.list}?{query}")
        found = dict(zip(reads, self._tried(*reads.values()), strict=True))
        refused = [each for each in found.values() if isinstance(each, Refused) and each.status == 422]
        lists = [name for name, part in found if part == "page"]
        if len(refused) == len(lists) or any(not _has_no_such_step(each) for each in refused):
            raise refused[0]
        return [_style_reading(style, found) for style in STYLES.values()]

    def stats(self, seconds: int) -> dict[str, Json | None]:
        """Return by style the statistics of the last so many seconds; None for a service that does not answer."""
        found = self._tried(*(self._stats(style, seconds) for style in STYLES.values()))
        return dict(zip(STYLES, map(known, found), strict=True))

    def _stats(self, style: Style, seconds: int) -> Read[Json | None]:
        return self._read(style.service, f"{style.base}/stats?seconds={seconds}")

    def changes(self, style: Style, after: str, wait: int) -> Json:
        """Return the changes after this cursor (empty: the feed's present end), waiting so many seconds for one.

        Raises `Unreachable`, or `Refused`.
        """
        query = urlencode({"after": after, "limit": CHANGES, "wait": wait}) if after else ""
        path = f"{style.base}/changes?{query}"
        reply = self._heard(style.service, lambda peer: peer.request("GET", path, None, {}, wait))
        return self._answer(style.service, reply)

    def find(self, any_id: str) -> list[tuple[str, str]]:
        """Return style and id of each saga that has this id, or whose cart or order has it. Raises `Unreachable`."""
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
    """Whether a service refused the filter by a failed step because its sagas have no step of this name."""
    return isinstance(found, Refused) and found.fields == {"failed_step"}

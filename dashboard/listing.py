"""The front page's contents: counts of both styles, and one list of the sagas of either."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from dashboard.sparks import Sample, Spark, sparks
from dashboard.words import STATUSES, UNKNOWN, duration

Json = Mapping[str, Any]

COUNTED = 200  # the most that one request lists; counts are of these, the latest
PAGE = 50
STATS_SECONDS = 60  # long enough for a percentile of a quiet shop, short enough to follow what happens
UNTOLD = {"retrying": False, "error": None, "next_try_at": None}  # of a saga whose service is older than these
# How the services call the filters that have another name in a page's URL.
PARAMETERS = {
    "user": "user_id",
    "method": "payment_method",
    "step": "failed_step",
    "cart": "cart_id",
    "order": "order_id",
    "before": "cursor",
}


@dataclass(frozen=True)
class Filters:
    """What of the list is shown, as the URL says; empty is everything. `before` is where each style's page begins."""

    style: str = ""
    status: str = ""
    user: str = ""
    method: str = ""
    step: str = ""  # because of which it turned back
    retrying: str = ""  # `true` or `false`
    cart: str = ""
    order: str = ""
    before: str = ""

    def query(self, **changed: str) -> str:
        """The URL's query with these filters changed; a change of filters begins at the first page."""
        wanted = replace(self, **{"before": "", **changed})
        return "?" + urlencode({name: value for name, value in vars(wanted).items() if value})

    @property
    def asked(self) -> dict[str, str]:
        """The same as a saga service's list is asked, without the style."""
        values = {PARAMETERS.get(name, name): value for name, value in vars(self).items() if name != "style"}
        return {name: value for name, value in values.items() if value}

    @property
    def are_set(self) -> bool:
        """Whether anything is left out."""
        return any(value for name, value in vars(self).items() if name != "before")


@dataclass(frozen=True)
class StyleReading:
    """What one saga service said: its latest sagas, and a page of those that fit the filters; None is nothing."""

    style: str
    service: str
    latest: Sequence[Json] | None
    fitting: Sequence[Json] | None  # None also where the filters leave the style out
    next: str = ""  # `next_cursor`: whether there may be more of those that fit, and from where on
    stats: Json | None = None  # of the sagas that ended within the last `STATS_SECONDS`


@dataclass(frozen=True)
class StyleCard:
    """One style's counts by status, of its latest sagas."""

    style: str
    service: str
    is_reachable: bool
    total: int
    is_all: bool  # there are no others
    counts: list[tuple[str, int, float]]  # status, how many, share in percent
    figures: list[tuple[str, str]]  # name and value, of the sagas that ended within the last `STATS_SECONDS`
    sparks: list[Spark]  # the last minutes


@dataclass(frozen=True)
class Listing:
    """The front page."""

    filters: Filters
    cards: list[StyleCard]
    sagas: list[Json]  # each with its `style`
    older: str  # the query of the next page; empty on the last one

    @property
    def unreachable(self) -> list[StyleCard]:
        """The styles of which nothing could be read."""
        return [card for card in self.cards if not card.is_reachable]


def listing(
    filters: Filters, readings: Sequence[StyleReading], samples: Sequence[Sample] = (), at: float = 0.0
) -> Listing:
    """The sagas of both styles, newest first: ids grow with time, so they are in the order of their ids.

    `samples` are drawn as they look at this moment of their clock.
    """
    cards = [_card(reading, sparks(samples, reading.style, at)) for reading in readings]
    sagas: list[Json] = [
        {**UNTOLD, **saga, "style": reading.style} for reading in readings for saga in reading.fitting or ()
    ]
    # A style was read down to its cursor: what is older is shown on the next page, so that none is left out between.
    read_to = max(reading.next for reading in readings)
    known = sorted((saga for saga in sagas if str(saga["saga_id"]) >= read_to), key=_by_id, reverse=True)
    shown = known[:PAGE]
    last = _by_id(shown[-1]) if len(known) > PAGE else read_to
    return Listing(filters, cards, shown, filters.query(before=last) if last else "")


def _by_id(saga: Json) -> str:
    return str(saga["saga_id"])


def _card(reading: StyleReading, drawn: list[Spark]) -> StyleCard:
    latest = reading.latest or ()
    counts = Counter(str(saga["status"]) for saga in latest)
    shares = [(status, counts[status], round(100 * counts[status] / (len(latest) or 1), 3)) for status in STATUSES]
    is_all = len(latest) < COUNTED
    told = (reading.style, reading.service, reading.latest is not None, len(latest), is_all)
    return StyleCard(*told, shares, _figures(reading.stats), drawn)


def _figures(stats: Json | None) -> list[tuple[str, str]]:
    """Rate, time to completion, and how long the services disagreed; a dash for what is not known."""
    none: Json = {"p50": None, "p95": None}
    took, open_for = (none, none) if stats is None else (stats["latency_ms"], stats["books_open_ms"])
    times = [
        (f"{name} {percentile}", UNKNOWN if of[percentile] is None else duration(of[percentile]))
        for name, of in (("Took", took), ("Books open", open_for))
        for percentile in ("p50", "p95")
    ]
    return [("Per second", UNKNOWN if stats is None else f"{stats['per_second']:.1f}"), *times]

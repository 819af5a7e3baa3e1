"""The front page's contents: counts of both styles, and one list of the sagas of either."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from dashboard.sparks import Sample, Spark, sparks
from dashboard.words import STATUSES, UNKNOWN, duration

Json = Mapping[str, Any]

ENDED_SECONDS = 3600  # of ended sagas that are counted; the services' own maximum
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
    """The filters of the list in the URL; an empty one filters nothing. `before` is where each style's page begins."""

    style: str = ""
    status: str = ""
    user: str = ""
    method: str = ""
    step: str = ""  # at which it failed, so that it turned back
    retrying: str = ""  # `true` or `false`
    cart: str = ""
    order: str = ""
    before: str = ""

    def query(self, **changed: str) -> str:
        """The URL's query with these filters changed; a change of filters begins at the first page."""
        wanted = replace(self, **{"before": "", **changed})
        return "?" + urlencode({name: value for name, value in vars(wanted).items() if value})

    @property
    def parameters(self) -> dict[str, str]:
        """The same as query parameters of a saga service's list, without the style."""
        values = {PARAMETERS.get(name, name): value for name, value in vars(self).items() if name != "style"}
        return {name: value for name, value in values.items() if value}

    @property
    def are_set(self) -> bool:
        """Whether any filter is set."""
        return any(value for name, value in vars(self).items() if name != "before")


@dataclass(frozen=True)
class StyleReading:
    """The answers of one saga service: statistics, and a page of the sagas that fit the filters; None for no answer."""

    style: str
    service: str
    fitting: Sequence[Json] | None = None  # None also where the filters leave the style out
    next: str = ""  # `next_cursor`: whether there may be more of those that fit, and from where on
    stats: Json | None = None  # of the sagas that ended within the last `STATS_SECONDS`
    ended: Json | None = None  # the same of the last `ENDED_SECONDS`
    failure: str = ""  # why those that fit could not be read


@dataclass(frozen=True)
class StyleCard:
    """One style's counts by status: of those that are live, and of those that ended lately."""

    style: str
    service: str
    is_reachable: bool
    since: str  # the period of the latter, in words
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
    failures: list[str]  # why a style's sagas are missing


def listing(
    filters: Filters, readings: Sequence[StyleReading], samples: Sequence[Sample] = (), at: float = 0.0
) -> Listing:
    """Merge the sagas of both styles, newest first, which is the order of their ids.

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
    return Listing(filters, cards, shown, filters.query(before=last) if last else "", _failures(readings))


def _by_id(saga: Json) -> str:
    return str(saga["saga_id"])


def _failures(readings: Sequence[StyleReading]) -> list[str]:
    return [reading.failure for reading in readings if reading.failure]


def _card(reading: StyleReading, drawn: list[Spark]) -> StyleCard:
    told = reading.ended
    counts: Json = {} if told is None else {**told["live"], **told["ended"]}
    total = sum(counts.values()) or 1
    shares = [(status, counts.get(status, 0), round(100 * counts.get(status, 0) / total, 3)) for status in STATUSES]
    seconds = ENDED_SECONDS if told is None else told["seconds"]
    since = "hour" if seconds >= ENDED_SECONDS else duration(seconds * 1000)
    return StyleCard(reading.style, reading.service, told is not None, since, shares, _figures(reading.stats), drawn)


def _figures(stats: Json | None) -> list[tuple[str, str]]:
    """Return rate, time to completion, and how long the services disagreed; a dash for what is not known."""
    none: Json = {"p50": None, "p95": None}
    took, open_for = (none, none) if stats is None else (stats["latency_ms"], stats["books_open_ms"])
    times = [
        (f"{name} {percentile}", UNKNOWN if of[percentile] is None else duration(of[percentile]))
        for name, of in (("Took", took), ("Books open", open_for))
        for percentile in ("p50", "p95")
    ]
    return [("Ended per second", UNKNOWN if stats is None else f"{stats['per_second']:.1f}"), *times]

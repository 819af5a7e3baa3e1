"""Pages as pure functions: JSON in, markup out. All text is escaped except markup that is made here."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from dashboard.attempts import Count, requests
from dashboard.banner import banner, first_trouble
from dashboard.books import LOOK_SECONDS, BooksView
from dashboard.choices import FAULTS, Choices
from dashboard.comparison import differences, mismatches
from dashboard.evidence import Evidence, links
from dashboard.faults import EFFECTS, OF_MESSAGES, POINTS, Participant, fired
from dashboard.flow import rails, sequence
from dashboard.letter_filter import AGES
from dashboard.listing import STATS_SECONDS, Listing
from dashboard.load_counts import MEASURED
from dashboard.load_driver import MOST_IN_FLIGHT, LoadState
from dashboard.load_plan import MOST_RATE, PAYING, PRODUCTS
from dashboard.log import log
from dashboard.outcome import Reading, outcome_of
from dashboard.paging import part_of, start_with
from dashboard.parked import CONSUMERS, Parked
from dashboard.receipt import ENTRIES, Receipt
from dashboard.rendering import render
from dashboard.story import Json, Story, story_of
from dashboard.swimlane import swimlane
from dashboard.words import (
    OF_STATUS,
    State,
    duration,
    money,
)


class RefreshIntervals(NamedTuple):
    """The seconds after which a page reloads its contents."""

    poll: float  # without a stream of changes
    poll_live: float  # with one: displayed times go on, and participants have no change feed
    gather: float  # the least time between two reloads because of changes
    after: str = ""  # the id of the last change that it shows; empty without one


RUNNING, ENDED_ONES, LIST = RefreshIntervals(1, 2, 0.25), RefreshIntervals(10, 30, 0.25), RefreshIntervals(2, 10, 1)


class Shown(NamedTuple):
    """What a saga's page shows in addition to the saga."""

    possible: Sequence[str] = ()  # what an operator can do
    first: int | None = None  # of many entries, the part that has this one, counted from 1
    after: str = ""  # the id of the last change that was known before the saga was read
    evidence: Evidence = Evidence()  # of a saga that does not go on
    currency: str = ""  # the shop's, for amounts without a currency of their own


ALONE = Shown()


def saga_page(saga: Json, timeline: list[Json], reading: Reading, now: datetime, shown: Shown = ALONE) -> str:
    """The page of one saga, from its three readings."""
    story, outcome = story_of(saga, timeline, now), outcome_of(saga, reading, shown.currency)
    trouble, part = first_trouble(story), part_of(story, shown.first)
    jump = start_with(story, trouble)
    return render(
        "saga.html",
        story=story,
        saga=saga,
        now=now,
        state=OF_STATUS[saga["status"]],
        figures=_figures(story, reading, shown.currency),
        banner=banner(story, outcome),
        evidence=links(str(saga["saga_id"]), shown.evidence),
        nodes=rails(story) if story.is_orchestrated else [],
        sequence=None if story.is_orchestrated else sequence(story),
        swimlane=swimlane(story),
        outcome=outcome,
        rows=log(part.moments(story), trouble),
        part=part,
        jump="" if jump == part.first else f"?from={jump}",
        refresh=(ENDED_ONES if story.has_ended else RUNNING)._replace(after=shown.after),
        possible=shown.possible,
    )


def _figures(story: Story, reading: Reading, currency: str) -> list[tuple[str, str]]:
    """Return names and values of the main figures."""
    messages = Count(sum(moment.kind == "event" for moment in story.moments))
    made = ("HTTP calls", requests(story.moments)) if story.is_orchestrated else ("Messages", messages)
    currency = next((row["currency"] for rows in (reading.orders, reading.payments) for row in rows or ()), currency)
    return [
        ("Took" if story.has_ended else "Has taken", duration(story.took)),
        ("Books open", duration(story.books_open)),
        (made[0], str(made[1])),
        ("Total", "not known" if story.saga["total"] is None else money(story.saga["total"], currency)),
    ]


def sagas_page(listing: Listing, now: datetime, after: str = "") -> str:
    """Both styles side by side, and the list; `after` is the id of the last change known before it was read."""
    return render(
        "sagas.html", listing=listing, now=now, refresh=LIST._replace(after=after), stats_seconds=STATS_SECONDS
    )


def compare_page(
    ids: Mapping[str, str], found: Sequence[tuple[Json, list[Json]] | None], chosen: Choices, now: datetime
) -> str:
    """Two sagas by style on one scale; None for one that is not known yet. `chosen` fills the form for another run."""
    stories = [each and story_of(*each, now) for each in found]
    known = [story for story in stories if story is not None]
    until = max((story.end for story in known), default=0.0)
    sides = [
        (style, saga_id, story, story and swimlane(story, until))
        for (style, saga_id), story in zip(ids.items(), stories, strict=True)
    ]
    over = len(known) == len(sides) and all(story.has_ended for story in known)
    rows = differences(known) if len(known) == len(sides) else []
    values = {"rows": rows, "chosen": chosen, "unlike": mismatches(known), "effects": FAULTS}
    return render("compare.html", sides=sides, now=now, refresh=ENDED_ONES if over else RUNNING, **values)


def compare_form(products: Sequence[Json], wanted: Choices, currency: str, *, can_fail: bool, error: str = "") -> str:
    """The form for a checkout in both styles; `can_fail` says whether a checkout can name faults."""
    values = {"wanted": wanted, "currency": currency, "error": error, "can_fail": can_fail}
    return render("compare_form.html", products=products, **values)


def one_begun_page(style: str, saga_id: str, why: str, chosen: Choices) -> str:
    """The page after only one of two compared checkouts has begun; it gives the reason."""
    return render("one_begun.html", style=style, saga_id=saga_id, why=why, chosen=chosen)


def confirm_page(saga: Json, action: str, plan: list[str], values: Mapping[str, Any]) -> str:
    """What an operator is about to do, with fields for a reason, a name, and the token where one is set."""
    return render("confirm.html", saga=saga, action=action, plan=plan, values=values)


def nothing_to_do_page(saga: Json, action: str, error: str) -> str:
    """There is nothing to do in the saga's state; `error` is the refusal of its service, if any."""
    return render("nothing_to_do.html", saga=saga, action=action, error=error)


def operations_page(
    found: Sequence[tuple[str, Json | None]], before: str, now: datetime, *, is_operator: bool = False
) -> str:
    """What operators did, by style; None is a style whose service cannot be reached.

    `is_operator` says whether the viewer has given a token, and so can log out.
    """
    pages = [(style, page) for style, page in found if page is not None]
    read_to = max((str(page["next_cursor"] or "") for _, page in pages), default="")
    rows = [{**row, "style": style} for style, page in pages for row in page["items"] if str(row["id"]) >= read_to]
    rows.sort(key=lambda row: str(row["id"]), reverse=True)
    missing = [style for style, page in found if page is None]
    values = {"before": before, "older": read_to, "is_operator": is_operator}
    return render("operations.html", rows=rows, missing=missing, now=now, **values)


def dead_letters_page(parked: Parked, done: str, now: datetime) -> str:
    """Parked messages and redrives; `done` is the id of the redrive that was requested just now, if any."""
    return render("dead_letters.html", parked=parked, done=done, services=CONSUMERS, ages=AGES, now=now)


def redrive_page(parked: Parked, values: Mapping[str, Any]) -> str:
    """What would be delivered again, with fields for a reason, a name, and the token where one is set."""
    return render("redrive.html", parked=parked, values=values)


def faults_page(participants: Sequence[Participant], error: str, now: datetime) -> str:
    """Fault switches of each service, and the faults that happened; `error` is why nothing was switched."""
    values = {"EFFECTS": EFFECTS, "OF_MESSAGES": OF_MESSAGES, "POINTS": POINTS, "fired": fired(participants)}
    some_are_on = any(each.said is not None for each in participants)
    return render("faults.html", participants=participants, error=error, some_are_on=some_are_on, now=now, **values)


def receipt_page(receipt: Receipt, now: datetime) -> str:
    """The receipt of an order, and whether it balances."""
    words = {
        State.DONE: "It adds up to zero",
        State.RUNNING: "Not settled yet: its saga is under way",
        State.IDLE: "Not known whether it is settled: its saga cannot be read",
    }
    return render(
        "receipt.html",
        receipt=receipt,
        words=words.get(receipt.state, "It does not add up to zero"),
        products=list({line.product_id: line.name for line in receipt.stock}.items()),
        ENTRIES=ENTRIES,
        refresh=RUNNING if receipt.state in {State.RUNNING, State.IDLE} else ENDED_ONES,
        now=now,
    )


def load_page(state: LoadState, error: str, now: datetime) -> str:
    """The load's plan and the outcomes of its checkouts; `error` is why nothing was changed."""
    values = {"paying": PAYING, "products": PRODUCTS, "most_rate": MOST_RATE, "most_in_flight": MOST_IN_FLIGHT}
    return render("load.html", state=state, error=error, now=now, measured=MEASURED, **values)


def books_page(view: BooksView, now: datetime) -> str:
    """Every rule of the audit, and the sagas that break it."""
    return render("books.html", view=view, took=duration(view.seconds * 1000), again=LOOK_SECONDS, now=now)


def token_page(then: str, *, was_wrong: bool) -> str:
    """The form for the operator's token; then the browser goes to `then`, a path."""
    return render("token.html", then=then, was_wrong=was_wrong)


def error_page(
    status: int, title: str, detail: str, unreachable: list[tuple[str, str]] | None = None, again: str = ""
) -> str:
    """An error; `unreachable` has names and URLs of services that could not be reached.

    The page requests the path `again` until there is an answer; empty for requests that cannot be repeated.
    """
    told = {"status": status, "title": title, "detail": detail, "again": again}
    return render("error.html", unreachable=unreachable or [], **told)

"""The figures of one checkout in both styles, beside each other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dashboard.attempts import requests
from dashboard.compensations import compensations
from dashboard.story import WINDOW, Story
from dashboard.words import duration

# The fields that must be equal in both sagas; the carts differ, since a cart is checked out once.
ALIKE = {"user_id": "user", "payment_method": "payment method", "total": "total", "fault": "faults"}
FREEZE = ("read_cart", "action")


@dataclass(frozen=True)
class Difference:
    """One measure of both sagas: each value as text, and as a percentage of the larger one."""

    name: str
    values: list[tuple[str, float]]


def differences(stories: Sequence[Story]) -> list[Difference]:
    """Return what the checkout took in each style so far."""
    return [
        _difference("From start to end", stories, lambda story: story.took, duration),
        _difference("Books open", stories, lambda story: story.books_open, duration),
        _difference("HTTP calls of the saga", stories, _requests, _whole),
        _difference("Messages", stories, _messages, _whole),
        _difference("Commits of the participants", stories, _commits, _whole),
        _difference("Compensations", stories, _compensations, _whole),
    ]


def mismatches(stories: Sequence[Story]) -> list[str]:
    """Name the fields in which these are different checkouts; a field that one does not know is left out."""
    return [name for field, name in ALIKE.items() if len({str(each) for each in _known(stories, field)}) > 1]


def _known(stories: Sequence[Story], field: str) -> list[object]:
    values = [story.saga.get(field) for story in stories]
    return values if field == "fault" else [value for value in values if value is not None]


def _difference(
    name: str, stories: Sequence[Story], measure: Callable[[Story], float], show: Callable[[float], str]
) -> Difference:
    values = [measure(story) for story in stories]
    most = max([*values, 0.0]) or 1.0
    return Difference(name, [(show(value), round(100 * value / most, 1)) for value in values])


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def _requests(story: Story) -> float:
    return float(requests(story.moments).number)


def _messages(story: Story) -> float:
    return float(sum(moment.kind == "event" for moment in story.moments))


def _commits(story: Story) -> float:
    """Count the local transactions of carrito, inventario and pagos, from the timeline.

    Orchestrated: one for each action or compensation that was done or refused; a repetition changes nothing.
    Choreographed: one for each event that a participant handled. In both, one that freezes the cart.
    """
    if story.is_orchestrated:
        answered = (each for each in story.moments if each.entry["outcome"] in {"succeeded", "refused"})
        return float(len({FREEZE, *(each.key for each in answered)}))
    events = (each.entry for each in story.moments if each.kind == "event" and each.entry["publisher"] != WINDOW)
    return float(len({(entry["publisher"], entry["cause"]) for entry in events}))


def _compensations(story: Story) -> float:
    return float(len(compensations(story)))

"""Reads from the saga services when each saga of a round began, had its first effect, and ended, and how."""

import time
from collections.abc import Sequence
from datetime import datetime

from bench.client import Client, Json, UnexpectedAnswer
from bench.compare.results import Ends
from shared.saga.states import ENDED, SagaStatus
from stack.demo.shop import ORCHESTRATED, Style

POLL_SECONDS = 0.2
MOST_SECONDS = 180  # longer than a saga's deadline and the longest wait between two attempts together


def ended_sagas(client: Client, style: Style, user_id: str, count: int) -> list[Json]:
    """Wait until the user's `count` sagas have ended; return them. Raises `UnexpectedAnswer` when some do not end."""
    until = time.monotonic() + MOST_SECONDS
    while True:
        sagas = _sagas(client, style, user_id)
        left = count - sum(saga["status"] in ENDED for saga in sagas)
        if not left:
            return sagas
        if time.monotonic() > until:
            raise UnexpectedAnswer(f"{left} of {count} {style.name} sagas have not ended")
        time.sleep(POLL_SECONDS)


def _sagas(client: Client, style: Style, user_id: str) -> list[Json]:
    """Return all sagas of the user, as lists show them."""
    path = style.path if style is ORCHESTRATED else f"{style.path}/status"
    found: list[Json] = []
    cursor: str | None = ""
    while cursor is not None:
        after = f"&cursor={cursor}" if cursor else ""
        page = client.get(style.service, f"{path}?user_id={user_id}&limit=200{after}").body
        found += page["items"]
        cursor = page["next_cursor"]
    return found


def at(time_of: str) -> float:
    """Convert a time of a service to seconds of `time.time`."""
    return datetime.fromisoformat(time_of).timestamp()


def ends_of(client: Client, style: Style, sagas: Sequence[Json]) -> Ends:
    """Return how these sagas, which have all ended, ended."""
    compensated = [saga for saga in sagas if saga["status"] == SagaStatus.COMPENSATED]
    open_for = map(_books_open, sagas)
    undone_in = [_undoing(client, style, saga) for saga in compensated]
    return Ends(
        completed=len(sagas) - len(compensated),
        compensated=len(compensated),
        books_open=tuple(each for each in open_for if each is not None),
        undoing=tuple(each for each in undone_in if each is not None),
    )


def _books_open(saga: Json) -> float | None:
    """Return for how many seconds the services disagreed about an ended saga; None for one that had no effect."""
    first = saga["first_effect_at"]
    return None if first is None else at(saga["ended_at"]) - at(first)


def _undoing(client: Client, style: Style, saga: Json) -> float | None:
    """Return the seconds from the refusal of a step to the saga's end; None without a refusal."""
    timeline = client.get(style.service, f"{style.path}/{saga['saga_id']}/timeline").body["items"]
    refused = [at(entry["finished_at"]) for entry in timeline if entry["outcome"] == "refused"]
    return at(saga["ended_at"]) - min(refused) if refused else None

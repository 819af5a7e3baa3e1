"""Which dead letters a filter selects."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from saga_choreography.letter_filter import LetterFilter
from shared.messaging.dead_letters import Letter

SAGA, OTHER = UUID(int=1), UUID(int=2)
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def letter(**changed: Any) -> Letter:
    told = {"error": "UndefinedTable: orders", "tries": 4, "parked_at": "2026-01-02T11:59:59+00:00", "payload": {}}
    return Letter(
        **{"service": "pagos", "event_id": "e1", "event": "order.created", "saga_id": SAGA, **told, **changed}
    )


@pytest.mark.parametrize(
    "which",
    [
        {},
        {"event_ids": ("e0", "e1")},
        {"event": "order.created"},
        {"saga_id": SAGA},
        {"error": "undefinedtable"},
        {"parked_before": NOON},
        {"event": "order.created", "saga_id": SAGA, "error": "orders", "parked_before": NOON},
    ],
)
def test_what_fits_every_part_of_a_filter_fits(which: dict[str, Any]) -> None:
    assert LetterFilter(**which).fits(letter())
    assert LetterFilter(**which).takes_all == (which == {})


@pytest.mark.parametrize(
    "which",
    [
        {"event_ids": ("e2",)},
        {"event": "order"},
        {"saga_id": OTHER},
        {"error": "timeout"},
        {"parked_before": datetime(2026, 1, 2, 11, tzinfo=UTC)},
        {"event": "order.created", "error": "timeout"},
    ],
)
def test_what_misses_one_part_does_not_fit(which: dict[str, Any]) -> None:
    assert not LetterFilter(**which).fits(letter())


@pytest.mark.parametrize("parked_at", [None, "long ago", "2026-01-02T11:00:00"])
def test_what_does_not_say_sensibly_when_it_was_parked_fits_no_age_and_breaks_nothing(parked_at: str | None) -> None:
    assert not LetterFilter(parked_before=NOON).fits(letter(parked_at=parked_at))
    assert LetterFilter().fits(letter(parked_at=parked_at, saga_id=None, error=None, event=None))
    assert not LetterFilter(error="x", saga_id=SAGA).fits(letter(error=None, saga_id=None))

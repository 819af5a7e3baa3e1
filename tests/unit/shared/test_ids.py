"""When an id was made, as the id itself tells."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from shared.ids import made_at, new_id


def test_a_new_id_was_made_now() -> None:
    before = datetime.now(UTC)
    made = made_at(new_id())
    assert made is not None
    assert abs((made - before).total_seconds()) < 60


@pytest.mark.parametrize(
    ("milliseconds", "made"),
    [
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (1_234, datetime(1970, 1, 1, 0, 0, 1, 234_000, tzinfo=UTC)),
        (253_402_300_799_999, datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)),
    ],
)
def test_the_first_48_bits_of_an_id_are_its_time_in_milliseconds(milliseconds: int, made: datetime) -> None:
    assert made_at(UUID(int=milliseconds << 80 | 7 << 76 | 1 << 63)) == made


@pytest.mark.parametrize("known", ["e677d21f-dc00-7000-8000-000000000000", "ffffffff-ffff-7fff-bfff-ffffffffffff"])
def test_an_id_of_a_time_after_the_year_9999_has_none(known: str) -> None:
    """Anybody may send such an id."""
    assert made_at(UUID(known)) is None


def test_an_id_of_another_version_has_none() -> None:
    assert made_at(uuid4()) is None

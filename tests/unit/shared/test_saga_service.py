"""The use cases of the saga services' API, over a fake style."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest

from shared.ids import new_id
from shared.saga.changes import ChangeFeed
from shared.saga.service import SagaService


class LoggedSagas:
    """A fake style that logs calls; a checkout is an id as text."""

    path, definition = "/saga", None

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.tables = self.database = self

    def transaction(self) -> None:
        raise AssertionError("accepting sagas has its own")

    def new_saga(self, checkout: str) -> UUID:
        self.calls.append("new_saga")
        return UUID(checkout)

    def accept(self, new_sagas: Sequence[UUID]) -> list[bool]:
        self.calls.append("accept")
        return [isinstance(saga, UUID) for saga in new_sagas]


def test_a_checkout_is_converted_before_the_batch_that_accepts_its_saga() -> None:
    sagas: Any = LoggedSagas()
    checkout: Any = str(new_id())
    assert SagaService(sagas, ChangeFeed(sagas, places=1, most_seconds=1)).accept(checkout)
    assert sagas.calls == ["new_saga", "accept"]


def test_a_checkout_that_cannot_be_converted_joins_no_batch() -> None:
    sagas: Any = LoggedSagas()
    malformed: Any = "no id"
    with pytest.raises(ValueError, match="badly formed"):
        SagaService(sagas, ChangeFeed(sagas, places=1, most_seconds=1)).accept(malformed)
    assert sagas.calls == ["new_saga"]

"""Fixtures of the tests of messaging, and of batches."""

from collections.abc import Iterator

import pytest
from structlog.testing import CapturingLogger

from tests.system.toy_room import room

__all__ = ["room", "together"]


@pytest.fixture
def together(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail when a batch is repeated one by one, since that would hide a wrong batch; `poison` makes one fail."""
    log = CapturingLogger()
    monkeypatch.setattr("shared.saga.command_batch.log", log)
    yield
    failed = [call for call in log.calls if "failed together" in call.args[0]]
    assert bool(failed) == ("poison" in request.fixturenames)

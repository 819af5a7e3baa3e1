"""Sagas of either style in a service in the same process, advanced by the test; both styles have the same methods."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from flask.testing import FlaskClient
from sqlalchemy import Connection

from saga_orchestrator import service
from saga_orchestrator.models import db
from saga_orchestrator.orchestrator import CHECKOUT, VERSIONS
from saga_orchestrator.runtime import leases, store
from saga_orchestrator.runtime.active_saga import ActiveSaga
from saga_orchestrator.runtime.engine import apply, next_command
from saga_orchestrator.runtime.leases import Claimant
from saga_orchestrator.runtime.participants import CommandReply
from saga_orchestrator.runtime.state import Command, Outcome, Refused, Succeeded, Unknown
from saga_orchestrator.runtime.store import Checkpoint, CheckpointKind
from shared.saga.states import Direction
from tests.integration.api_client import ApiClient, body_of
from tests.integration.choreography_client import Window
from tests.integration.orchestrated import new_checkout
from tests.unit.saga_choreography.histories import CANCELLED, COMPLETED, HISTORIES, PAID, Story

LONG = 60.0
CHARGE = Command("process_payment", Direction.ACTION)
STATUS = {Succeeded: 200, Refused: 402, Unknown: 503}  # of a participant's answer
KEPT = {Succeeded: None, Refused: '{"detail": "no"}', Unknown: '{"detail": "away"}'}  # of the body of such an answer


class Stage(ApiClient):
    """What tests need of either style."""

    style: str
    base: str
    listed: str

    def read(self, path: str, **query: object) -> dict[str, Any]:
        """Return the answer of an endpoint under the style's path."""
        wanted = "&".join(f"{name}={value}" for name, value in query.items())
        response = self.get(f"{self.base}{path}?{wanted}")
        assert response.status_code == 200, response.text
        return body_of(response)

    def sagas(self, **query: object) -> dict[str, Any]:
        """Return a page of the list."""
        response = self.get(f"{self.listed}?{urlencode(query, doseq=True)}")
        assert response.status_code == 200, response.text
        return body_of(response)

    def begun(self) -> UUID:
        """Return an accepted saga."""
        raise NotImplementedError

    def waiting(self) -> UUID:
        """Return a saga that waits for another attempt at its payment."""
        raise NotImplementedError

    def paid(self) -> UUID:
        """Return a running saga that has been paid."""
        raise NotImplementedError

    def completed(self) -> UUID:
        """Return a completed saga."""
        raise NotImplementedError

    def declined(self) -> UUID:
        """Return a compensated saga, whose card was declined."""
        raise NotImplementedError

    def undo(self, saga_id: UUID) -> None:
        """Compensate a completed saga whose compensation was requested."""
        raise NotImplementedError


class Orchestrated(Stage):
    """The test takes the part of the executors."""

    style, base, listed = "orchestrated", "/saga", "/saga"

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        with self.client.application.app_context(), db.transaction() as connection:
            yield connection

    def begun(self) -> UUID:
        checkout = new_checkout(total_minor=1998)
        with self.transaction() as connection:
            assert service.accept_sagas(connection, [checkout], LONG) == [True]
        return checkout.saga_id

    def paid(self) -> UUID:
        saga_id = self.begun()
        self.drive(lambda _: Succeeded(), commands=2)
        return saga_id

    def completed(self) -> UUID:
        saga_id = self.begun()
        self.drive(lambda _: Succeeded())
        return saga_id

    def declined(self) -> UUID:
        saga_id = self.begun()
        self.drive(lambda command: Refused("no") if command == CHARGE else Succeeded())
        return saga_id

    def waiting(self) -> UUID:
        saga_id = self.begun()
        self.drive(lambda command: Unknown("away") if command == CHARGE else Succeeded(), commands=2)
        return saga_id

    def undo(self, saga_id: UUID) -> None:
        self.drive(lambda _: Succeeded())
        assert self.read(f"/{saga_id}")["status"] == "compensated"

    def drive(self, outcome_of: Callable[[Command], Outcome], commands: int = 20) -> None:
        """Claim the due sagas, and send so many commands of each; then relinquish each saga, or write its end."""
        with self.transaction() as connection:
            claimed = leases.claim(connection, VERSIONS, Claimant("test", 1), 10, LONG)
        for saga in map(ActiveSaga, claimed.leases):
            for _ in range(commands):
                command = next_command(CHECKOUT, saga.state)
                if command is None:
                    break
                saga.start(command)
                outcome = outcome_of(command)
                reply = CommandReply(outcome, 2, STATUS[type(outcome)], "slow", KEPT[type(outcome)])
                saga.record_request(command, datetime.now(UTC), reply)
                saga.advance(apply(CHECKOUT, saga.state, command, outcome))
            ended = saga.state.ended
            kind = CheckpointKind.END if ended else CheckpointKind.RELINQUISH
            checkpoint = Checkpoint(kind, saga.snapshot(), None if ended else LONG)
            with self.transaction() as connection:
                assert store.save(connection, [checkpoint]) == set()


class Choreographed(Stage, Window):
    """The test sends the events."""

    style, base, listed = "choreographed", "/saga/choreography", "/saga/choreography/status"

    def begun(self) -> UUID:
        return self._told(COMPLETED[:1])

    def waiting(self) -> UUID:
        self.limits = replace(self.limits, resend_seconds=self.limits.stuck_seconds / 2)
        saga_id = self._told(PAID[:4])
        self.be_silent(saga_id, self.limits.resend_seconds + 1)
        assert self.watch() == 1
        return saga_id

    def paid(self) -> UUID:
        return self._told(PAID)

    def completed(self) -> UUID:
        return self._told(COMPLETED)

    def declined(self) -> UUID:
        return self._told(HISTORIES["declined"])

    def undo(self, saga_id: UUID) -> None:
        self.record(Story(saga_id=saga_id, beginning=datetime.now(UTC)).events(*CANCELLED[1:]))

    def _told(self, names: tuple[str, ...]) -> UUID:
        story = Story()
        self.record(story.events(*names))
        return story.saga_id


STAGES: dict[str, type[Stage]] = {"saga_orchestrator": Orchestrated, "saga_choreography": Choreographed}


def stage_of(name: str, client: FlaskClient) -> Stage:
    """Return the stage of a service."""
    return STAGES[name](client)

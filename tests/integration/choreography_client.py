"""A client of saga_choreography in the same process: events in, HTTP out."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from flask.testing import FlaskClient
from sqlalchemy import Connection, text

from saga_choreography import watchdog
from saga_choreography.domain import Limits
from saga_choreography.models import db, outbox
from saga_choreography.rebuild import rebuild
from saga_choreography.recording import record
from shared.event_bus import Event
from tests.integration.api_client import ApiClient, body_of

ROOT = "/saga/choreography"
LONG = Limits(forward_seconds=600, stuck_seconds=600, resend_seconds=600)


class Window(ApiClient):
    """The client. Thread-safe."""

    def __init__(self, client: FlaskClient, limits: Limits = LONG) -> None:
        super().__init__(client)
        self.limits = limits

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        with self.client.application.app_context(), db.transaction() as connection:
            yield connection

    def record(self, events: Sequence[Event]) -> None:
        with self.transaction() as connection:
            assert record(connection, events, self.limits) == []

    def watch(self) -> int:
        with self.client.application.app_context():
            return watchdog.run_once(self.limits)

    def idle_seconds(self) -> float:
        with self.client.application.app_context():
            return watchdog.idle_seconds(self.limits)

    def rebuild(self) -> int:
        with self.client.application.app_context():
            return rebuild(self.limits)

    def saga(self, saga_id: UUID) -> dict[str, Any]:
        response = self.get(f"{ROOT}/{saga_id}")
        assert response.status_code == 200, response.text
        return body_of(response)

    def timeline(self, saga_id: UUID, **like: object) -> list[dict[str, Any]]:
        items = body_of(self.get(f"{ROOT}/{saga_id}/timeline"))["items"]
        return [item for item in items if all(item[name] == value for name, value in like.items())]

    def sagas(self, **query: object) -> dict[str, Any]:
        wanted = "&".join(f"{name}={value}" for name, value in query.items())
        return body_of(self.get(f"{ROOT}/status?{wanted}"))

    def staged(self) -> list[Event]:
        """Return the staged events; they are claimed only for a moment."""
        with self.transaction() as connection:
            return outbox.claim(connection, 1000, 0)

    def send(self) -> list[Event]:
        """Publish the staged events, as far as the outbox is concerned: mark them as sent."""
        with self.transaction() as connection:
            events = outbox.claim(connection, 1000, 0)
            outbox.sent(connection, [event.id for event in events])
        return events

    def be_silent(self, saga_id: UUID, seconds: float) -> None:
        """Set the time of a saga's last event to so many seconds ago."""
        silence = text("""
            UPDATE saga_choreography.sagas
               SET due_at = due_at - (make_interval(secs => :seconds) - (now() - moved_at)),
                   moved_at = now() - make_interval(secs => :seconds)
             WHERE saga_id = :saga_id
        """)
        with self.transaction() as connection:
            connection.execute(silence, {"saga_id": saga_id, "seconds": seconds})

    def rows(self, table: str) -> list[dict[str, Any]]:
        with self.transaction() as connection:
            found = connection.execute(text(f"SELECT * FROM saga_choreography.{table} ORDER BY 1")).mappings().all()
        return [dict(row) for row in found]

    def execute(self, statement: str) -> None:
        with self.transaction() as connection:
            connection.execute(text(statement))

"""Talking to a service in its own process; every answer must be one that its OpenAPI document declares."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import Connection, event, text
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from shared.json_codec import dumps
from shared.testing import wait_until


class ApiClient:
    """One app; safe to use from many threads."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client
        self._rules = client.application.url_map.bind("localhost")
        self._paths = client.get("/openapi/openapi.json").json["paths"]  # type: ignore[index]

    def get(self, path: str) -> TestResponse:
        return self._declared(self.client.get(path))

    def delete(self, path: str) -> TestResponse:
        return self._declared(self.client.delete(path))

    def post(self, path: str, body: Any, key: str | None = None) -> TestResponse:
        headers = {} if key is None else {"Idempotency-Key": key}
        return self._declared(
            self.client.post(path, data=dumps(body), content_type="application/json", headers=headers)
        )

    def post_raw(self, path: str, data: bytes | str, content_type: str | None = "application/json") -> TestResponse:
        return self._declared(self.client.post(path, data=data, content_type=content_type))

    def many(self, *commands: tuple[str, Any]) -> list[dict[str, Any]]:
        """The outcomes of (path, body) in one request."""
        body = {"commands": [{"path": path, "body": body} for path, body in commands]}
        response = self.post("/saga-commands", body)
        assert response.status_code == 200
        outcomes: list[dict[str, Any]] = body_of(response)["outcomes"]
        return outcomes

    def audit(self) -> dict[str, Any]:
        return body_of(self.get("/audit"))

    def facts(self, *saga_ids: object) -> list[dict[str, Any]]:
        """What the service tells an auditor of these sagas."""
        told: list[dict[str, Any]] = body_of(self.post("/audit/facts", {"saga_ids": list(map(str, saga_ids))}))["facts"]
        return told

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A transaction of the service's own, to be left open while requests come in."""
        app = self.client.application
        with app.app_context(), app.extensions["sqlalchemy"].transaction() as connection:
            yield connection

    @contextmanager
    def statements(self) -> Iterator[list[str]]:
        """The SQL statements that are sent meanwhile."""
        sent: list[str] = []

        def note(_: Any, __: Any, statement: str, *___: Any) -> None:
            sent.append(statement)

        app = self.client.application
        with app.app_context():
            engine = app.extensions["sqlalchemy"].engine
        event.listen(engine, "before_cursor_execute", note)
        try:
            yield sent
        finally:
            event.remove(engine, "before_cursor_execute", note)

    def _declared(self, response: TestResponse) -> TestResponse:
        request = response.request
        try:
            rule, _ = self._rules.match(request.path, request.method, return_rule=True)
        except HTTPException:
            return response  # a path or a method that the document doesn't have
        path = re.sub(r"<([^<>]*:)?(\w+)>", r"{\2}", rule.rule)
        declared = self._paths.get(path, {}).get(request.method.lower(), {}).get("responses")
        if declared is not None:
            assert str(response.status_code) in declared, f"{path} does not declare {response.status_code}"
            assert response.mimetype in declared[str(response.status_code)]["content"]
        return response


def body_of(response: TestResponse) -> dict[str, Any]:
    """The JSON object of a response."""
    body = response.json
    assert isinstance(body, dict)
    return body


def problem_of(response: TestResponse) -> dict[str, Any]:
    """The members of a problem, which is what every error must be."""
    assert response.mimetype == "application/problem+json"
    problem = body_of(response)
    assert {"type", "title", "status", "detail"} <= problem.keys()
    assert problem["status"] == response.status_code
    return problem


def outcome(response: TestResponse) -> tuple[int, bytes]:
    """What two answers have in common when they are the same word for word."""
    return response.status_code, response.data


def wait_for_blocked(connection: Connection) -> None:
    """Until somebody waits for a lock that this transaction holds."""
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))")
    wait_until(lambda: connection.scalar(waiting), "a request that waits")

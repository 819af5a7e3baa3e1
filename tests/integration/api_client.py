"""A client of a service in the same process. Every answer must be one that the service's OpenAPI document declares."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import Connection, event, text
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from shared.json_codec import dumps
from shared.testing import wait_until


class ApiClient:
    """The client of one app. Thread-safe."""

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
        """Return the outcomes of these (path, body) commands, sent in one request."""
        body = {"commands": [{"path": path, "body": body} for path, body in commands]}
        response = self.post("/saga-commands", body)
        assert response.status_code == 200
        outcomes: list[dict[str, Any]] = body_of(response)["outcomes"]
        return outcomes

    def audit(self) -> dict[str, Any]:
        return body_of(self.get("/audit"))

    def facts(self, *saga_ids: object) -> list[dict[str, Any]]:
        """Return the service's facts about these sagas, as for an auditor."""
        told: list[dict[str, Any]] = body_of(self.post("/audit/facts", {"saga_ids": list(map(str, saga_ids))}))["facts"]
        return told

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Open one of the service's transactions, during which a test can send requests."""
        app = self.client.application
        with app.app_context(), app.extensions["sqlalchemy"].transaction() as connection:
            yield connection

    @contextmanager
    def statements(self) -> Iterator[list[str]]:
        """Record the SQL statements that are sent during the block."""
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
            return response  # a path or method that the document does not have
        path = re.sub(r"<([^<>]*:)?(\w+)>", r"{\2}", rule.rule)
        declared = self._paths.get(path, {}).get(request.method.lower(), {}).get("responses")
        if declared is not None:
            assert str(response.status_code) in declared, f"{path} does not declare {response.status_code}"
            assert response.mimetype in declared[str(response.status_code)]["content"]
        return response


def body_of(response: TestResponse) -> dict[str, Any]:
    """Return the JSON object in a response."""
    body = response.json
    assert isinstance(body, dict)
    return body


def problem_of(response: TestResponse) -> dict[str, Any]:
    """Return the members of a problem; every error must be one."""
    assert response.mimetype == "application/problem+json"
    problem = body_of(response)
    assert {"type", "title", "status", "detail"} <= problem.keys()
    assert problem["status"] == response.status_code
    return problem


def outcome(response: TestResponse) -> tuple[int, bytes]:
    """Return what is equal in two answers that are the same word for word."""
    return response.status_code, response.data


def statuses(outcomes: Sequence[dict[str, Any]]) -> list[int]:
    """Return the status codes of outcomes of `many`."""
    return [outcome["status"] for outcome in outcomes]


def kinds(outcomes: Sequence[dict[str, Any]]) -> list[str]:
    """Return the type of each problem, and the status of each other body."""
    bodies = [each["body"].get("cart", each["body"]) for each in outcomes]  # a release answers with its cart
    return [body.get("type", body["status"]).removeprefix("/problems/") for body in bodies]


def wait_for_blocked(connection: Connection) -> None:
    """Wait until a session waits for a lock that this transaction holds."""
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))")
    wait_until(lambda: connection.scalar(waiting), "a request that waits")

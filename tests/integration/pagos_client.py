"""pagos in the words of its tests. Every answer must be one that its OpenAPI document declares."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import Connection, event, text
from werkzeug.test import TestResponse

from pagos.models import db
from shared.ids import new_id
from shared.json_codec import dumps
from shared.testing import wait_until


class Pagos:
    """Talks to one app; safe to use from many threads."""

    def __init__(self, client: FlaskClient) -> None:
        self._client = client
        self._rules = client.application.url_map.bind("localhost")
        self._paths = self.get("/openapi/openapi.json").json["paths"]  # type: ignore[index]

    def get(self, path: str) -> TestResponse:
        return self._declared(self._client.get(path))

    def post(self, path: str, body: dict[str, Any], key: str | None = None) -> TestResponse:
        headers = {} if key is None else {"Idempotency-Key": key}
        return self._declared(
            self._client.post(path, data=dumps(body), content_type="application/json", headers=headers)
        )

    def post_raw(self, path: str, data: bytes | str, content_type: str | None = "application/json") -> TestResponse:
        return self._declared(self._client.post(path, data=data, content_type=content_type))

    def pay(self, amount: Any = 10, method: str = "credit_card", user_id: str | None = None) -> TestResponse:
        body = {"merchant_id": "m-1", "order_id": "o-1", "amount": amount, "payment_method": method}
        return self.post("/api/v1/payments", body if user_id is None else {**body, "user_id": user_id})

    def charge(self, saga: "Saga", **changes: Any) -> TestResponse:
        return self.post("/api/v1/payments/saga", saga.charge | changes)

    def refund(self, saga: "Saga", **changes: Any) -> TestResponse:
        return self.refund_payment(saga.payment_id, **({"saga_id": saga.saga_id} | changes))

    def refund_payment(self, payment_id: object, **body: Any) -> TestResponse:
        return self.post(f"/api/v1/payments/saga/{payment_id}/refund", body)

    def payments_of(self, saga: "Saga") -> list[dict[str, Any]]:
        return list(self.get(f"/api/v1/payments/saga/{saga.cart_id}").json["items"])  # type: ignore[index]

    def deposit(self, user_id: str, amount: Any) -> TestResponse:
        return self.post(f"/api/v1/wallets/{user_id}/deposits", {"amount": amount})

    def balance(self, user_id: str) -> Decimal:
        return Decimal(self.get(f"/api/v1/wallets/{user_id}").json["balance"])  # type: ignore[index]

    def audit(self) -> dict[str, Any]:
        response = self.get("/audit")
        assert response.status_code == 200
        return dict(response.json)  # type: ignore[arg-type]

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A transaction of the service's own, to be left open while requests come in."""
        with self._client.application.app_context(), db.transaction() as uow:
            yield uow

    @contextmanager
    def statements(self) -> Iterator[list[str]]:
        """The SQL statements that are sent meanwhile."""
        sent: list[str] = []

        def note(_: Any, __: Any, statement: str, *___: Any) -> None:
            sent.append(statement)

        with self._client.application.app_context():
            engine = db.engine
        event.listen(engine, "before_cursor_execute", note)
        try:
            yield sent
        finally:
            event.remove(engine, "before_cursor_execute", note)

    def wait_for_blocked(self, uow: Connection) -> None:
        """Until somebody waits for a lock that this transaction holds."""
        waiting = text(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
        )
        wait_until(lambda: uow.scalar(waiting), "a request that waits")

    def _declared(self, response: TestResponse) -> TestResponse:
        request = response.request
        if not request.path.startswith("/api/"):
            return response
        rule, _ = self._rules.match(request.path, request.method, return_rule=True)
        path = rule.rule.replace("<", "{").replace(">", "}")
        declared = self._paths[path][request.method.lower()]["responses"]
        assert str(response.status_code) in declared, f"{path} does not declare {response.status_code}"
        assert response.mimetype in declared[str(response.status_code)]["content"]
        return response


class Saga:
    """A saga with ids of its own and what it asks pagos for."""

    def __init__(self, amount: Any = 20, method: str = "credit_card", user_id: str = "ana") -> None:
        self.saga_id = new_id()
        self.cart_id = new_id()
        self.payment_id = new_id()
        self.charge: dict[str, Any] = {
            "saga_id": self.saga_id,
            "cart_id": self.cart_id,
            "user_id": user_id,
            "amount": amount,
            "payment_method": method,
            "payment_id": self.payment_id,
        }


def new_user() -> str:
    """A user nobody else has."""
    return f"user-{new_id()}"


def outcome(response: TestResponse) -> tuple[int, bytes]:
    """What two answers have in common when they are the same word for word."""
    return response.status_code, response.data

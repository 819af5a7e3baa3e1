"""The demo's output: endings, costs, lines of a saga, commands, colours."""

import shlex
import threading
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from stack import table
from stack.costs import Costs, Counts, Meter
from stack.demo import narration, next_steps
from stack.demo.narration import follow
from stack.demo.shop import CHOREOGRAPHED, ORCHESTRATED, Json, Request, Shop, ShopError, Style
from stack.demo.stories import DECLINED, SUCCESS, Ending, Result, Story
from stack.home import Home

COMPLETED = {
    "status": "completed",
    "total": Decimal("25.00"),
    "created_at": "2026-01-01T00:00:00+00:00",
    "ended_at": "2026-01-01T00:00:00.041+00:00",
}
COMPENSATED = {**COMPLETED, "status": "compensated"}
PAID, NOTHING = Result("confirmed", Decimal(25), Decimal(0)), Result("none", Decimal(0), Decimal(0))
SOLD, KEPT = (8, 0, 2), (10, 0, 0)


def ending(story: Story, saga: Json, **changes: Any) -> Ending:
    sold = saga["status"] == "completed"
    seen: dict[str, Any] = {"result": PAID if sold else NOTHING, "after": SOLD if sold else KEPT}
    costs = Costs(http_calls=8, messages=0, commits=None)
    return Ending(story, ORCHESTRATED, saga, before=(10, 0, 0), costs=costs, **{**seen, **changes})


def test_endings_as_told() -> None:
    assert ending(SUCCESS, COMPLETED).as_told()
    assert ending(replace(DECLINED, quantity=2), COMPENSATED).as_told()
    refunded = Result("none", Decimal(25), Decimal(25))
    assert ending(DECLINED, COMPENSATED, result=refunded).as_told()
    assert ending(SUCCESS, COMPLETED).effort() == ("1. Success", "orchestrated", "41 ms", "8", "0", "-")


@pytest.mark.parametrize(
    "other",
    [
        ending(SUCCESS, COMPENSATED),
        ending(DECLINED, COMPLETED),
        ending(SUCCESS, COMPLETED, result=replace(PAID, order="pending")),
        ending(SUCCESS, COMPLETED, result=replace(PAID, order="confirmed, confirmed")),
        ending(SUCCESS, COMPLETED, result=replace(PAID, captured=Decimal(50))),
        ending(SUCCESS, COMPLETED, result=replace(PAID, refunded=Decimal(25))),
        ending(SUCCESS, COMPLETED, after=(10, 0, 0)),
        ending(SUCCESS, COMPLETED, after=(8, 2, 0)),
        ending(DECLINED, COMPENSATED, result=replace(NOTHING, order="cancelled")),
        ending(DECLINED, COMPENSATED, result=replace(NOTHING, captured=Decimal(25))),
        ending(DECLINED, COMPENSATED, after=(8, 2, 0)),
    ],
)
def test_other_endings(other: Ending) -> None:
    assert not other.as_told()
    assert "NOT AS TOLD" in other.outcome()[2]


class Told(Shop):
    """A service with fixed answers; the last saga is repeated for ever. Without a status it knows no saga."""

    def __init__(self, *answers: tuple[str, list[Json]]) -> None:
        super().__init__({})
        self._answers = list(answers)

    def saga(self, style: Style, saga_id: str) -> Json | None:
        del style, saga_id
        status, _ = self._answers[0]
        if not status:
            self._answers.pop(0)
        return {"status": status} if status else None

    def timeline(self, style: Style, saga_id: str) -> list[Json]:
        del style, saga_id
        _, items = self._answers[0]
        self._answers = self._answers[1:] or self._answers
        return items


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def entry(ms: int, kind: str = "attempt", **columns: Any) -> Json:
    time = f"2026-01-01T00:00:00.{ms:03}+00:00"
    empty = dict.fromkeys(("step", "direction", "outcome", "detail", "event_id", "cause", "fault", "response"))
    return {**empty, "kind": kind, "started_at": time, "finished_at": time, **columns}


def step(ms: int, name: str, outcome: str, direction: str = "action", detail: str | None = None) -> Json:
    return entry(ms, step=name, outcome=outcome, direction=direction, detail=detail)


def test_a_saga_is_told_once_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    items = [
        entry(0, "accepted"),
        step(5, "process_payment", "unknown", detail="pagos: no answer in time"),
        step(250, "process_payment", "refused", detail="pagos: HTTP 402"),
        entry(251, "compensating"),
        step(260, "process_payment", "succeeded", "compensation"),
        entry(270, "compensated"),
    ]
    told = Told(("running", items[:2]), ("running", items[:2]), ("compensated", items))
    assert follow(told, ORCHESTRATED, "id")["status"] == "compensated"
    assert lines_of(capsys) == [
        "0 ms accepted",
        "5 ms -> process_payment no answer 0.0 ms pagos: no answer in time",
        "250 ms -> process_payment refused 0.0 ms try 2, pagos: HTTP 402",
        "251 ms turning back",
        "260 ms <- undo process_payment done 0.0 ms",
        "270 ms compensated",
    ]


def test_tries_that_fail_alike_are_one_line_and_their_number(capsys: pytest.CaptureFixture[str]) -> None:
    lost = [step(ms, "process_payment", "unknown", detail="pagos: connection refused") for ms in (5, 20, 60, 140)]
    slow = step(300, "process_payment", "unknown", detail="pagos: no answer in time")
    follow(
        Told(
            ("running", lost[:1]),
            ("running", lost[:3]),
            ("running", [*lost, slow]),
            ("completed", [*lost, slow, step(400, "process_payment", "succeeded"), entry(401, "completed")]),
        ),
        ORCHESTRATED,
        "id",
    )
    assert lines_of(capsys) == [
        "0 ms -> process_payment no answer 0.0 ms pagos: connection refused",
        "135 ms 3 more tries like this",
        "295 ms -> process_payment no answer 0.0 ms try 5, pagos: no answer in time",
        "395 ms -> process_payment done 0.0 ms try 6",
        "396 ms completed",
    ]


def event(ms: int, name: str, publisher: str, cause: str | None = None, **columns: Any) -> Json:
    return entry(ms, "event", event=name, event_id=name, publisher=publisher, cause=cause, **columns)


def test_a_choreographed_saga_is_told_event_by_event_with_their_causes(capsys: pytest.CaptureFixture[str]) -> None:
    items = [
        event(0, "checkout.initiated", "carrito"),
        event(5, "payment.failed", "pagos", "checkout.initiated", outcome="refused", detail="no money"),
        event(6, "inventory.released", "inventario", "payment.failed", detail="no money"),
        event(7, "checkout.failed", "carrito", "inventory.released", detail="no money"),
    ]
    told = Told(("", []), ("running", items[:2]), ("compensated", items))
    assert follow(told, CHOREOGRAPHED, "id")["status"] == "compensated"
    assert lines_of(capsys) == [
        "0 ms carrito checkout.initiated",
        "5 ms pagos payment.failed because of checkout.initiated, no money",
        "6 ms inventario inventory.released because of payment.failed",
        "7 ms carrito checkout.failed because of inventory.released",
    ]


def test_what_is_done_on_purpose_is_told_when_it_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    lost = step(5, "process_payment", "unknown", detail="pagos: connection lost")
    done = step(9, "process_payment", "succeeded")
    done["response"] = {"body": {"injected_before": "process_payment=kill*1"}}
    told = Told(("running", [lost]), ("completed", [{**lost, "fault": "kill"}, done]))
    follow(told, ORCHESTRATED, "id")
    assert lines_of(capsys) == [
        "0 ms -> process_payment no answer 0.0 ms pagos: connection lost",
        "4 ms -> process_payment done 0.0 ms try 2, on purpose before: process_payment=kill*1",
    ]
    paid = event(5, "payment.processed", "pagos", fault="kill")
    follow(Told(("completed", [paid])), CHOREOGRAPHED, "id")
    assert lines_of(capsys) == ["0 ms pagos payment.processed on purpose: kill"]


@pytest.mark.parametrize(("status", "can"), [(404, False), (200, True), (401, True)])
def test_steps_can_fail_on_purpose_where_there_are_switches(status: int, can: bool) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        assert Shop({"pagos": f"http://127.0.0.1:{server.server_port}"}).can_fail() is can
        server.shutdown()


@pytest.mark.parametrize(("answer", "status"), [(("running", []), "running"), (("", []), "unknown")])
def test_a_saga_that_does_not_end_is_given_up(
    monkeypatch: pytest.MonkeyPatch, answer: tuple[str, list[Json]], status: str
) -> None:
    monkeypatch.setattr(narration, "MOST_SECONDS", 0.1)
    with pytest.raises(ShopError, match=f"still {status}"):
        follow(Told(*[answer] * 10), CHOREOGRAPHED, "id")


ANSWERED = """\
http_requests_total{{method="POST",route="/orders",service="carrito",status="201"}} {orders}
http_requests_total{{method="GET",route="/carts/<cart_id>",service="carrito",status="200"}} 2.0
http_requests_total{{method="GET",route="/metrics",service="carrito",status="200"}} 70.0
http_requests_created{{method="POST",route="/orders",service="carrito",status="201"}} 1.7e+09
"""


@pytest.fixture
def counting() -> Iterator[Shop]:
    """A shop in which every service has answered two requests, and one more each time its metrics are read."""

    class Handler(BaseHTTPRequestHandler):
        orders = 0.0

        def do_GET(self) -> None:
            type(self).orders += 1
            self.send_response(200)
            self.end_headers()
            self.wfile.write(ANSWERED.format(orders=self.orders).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield Shop({"carrito": f"http://127.0.0.1:{server.server_port}"})
        server.shutdown()


def test_costs_are_what_was_counted_in_between(counting: Shop) -> None:
    meter = Meter(counting, database_url=None)
    timeline = [entry(0, "event"), entry(0, "event"), entry(1, "retried")]
    before = meter.counts()
    assert before == Counts({"carrito": 3}, None)
    assert meter.costs(before, timeline, restarted=[]) == Costs(http_calls=1, messages=2, commits=None)
    assert meter.costs(before, [], restarted=["carrito"]).http_calls == 5


def test_who_watches_a_saga_is_not_counted(counting: Shop) -> None:
    """All reads of sagas are by those who watch; POSTs belong to the checkout."""
    watched = Shop({"saga_orchestrator": counting.urls["carrito"]})
    assert Meter(watched, None).counts().answered == {"saga_orchestrator": 1}


def test_a_request_as_a_command() -> None:
    request = Request("POST", "http://x/a?b=c&d=e", {"name": "it's"}, {"Prefer": "wait=1"})
    assert shlex.split(request.curl().replace("\\\n", " ")) == [
        *("curl", "-s", "-X", "POST", "http://x/a?b=c&d=e"),
        *("-H", "Content-Type: application/json", "-H", "Prefer: wait=1"),
        *("-d", '{"name":"it\'s"}'),
    ]
    assert Request("GET", "http://x/a").curl() == "curl -s http://x/a"


@pytest.mark.parametrize(("token", "needed"), [("secret", True), ("", False)])
def test_who_set_a_token_is_reminded_of_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, token: str, needed: bool
) -> None:
    monkeypatch.setenv("ADMIN_TOKEN", token)
    shop = Shop({ORCHESTRATED.service: "http://o", CHOREOGRAPHED.service: "http://c"})
    text = next_steps.text(shop, Home.at(tmp_path), {ORCHESTRATED: "1", CHOREOGRAPHED: "2"}, Request("GET", "http://x"))
    assert ("Bearer $ADMIN_TOKEN" in text) is needed
    assert "secret" not in text


@pytest.mark.parametrize(
    ("terminal", "no_colour", "shown"),
    [(True, "", "\033[31mno\033[0m"), (True, "1", "no"), (False, "", "no")],
)
def test_colours_are_for_terminals(monkeypatch: pytest.MonkeyPatch, terminal: bool, no_colour: str, shown: str) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    monkeypatch.setenv("NO_COLOR", no_colour)
    assert table.paint("no", "red") == shown

"""What the demo makes of what it sees: endings, lines of a saga, commands, colours."""

import shlex
from decimal import Decimal
from typing import Any

import pytest

from stack import narration, table
from stack.demo import DECLINED, SUCCESS, Ending, Story
from stack.narration import follow
from stack.shop import Json, Request, Shop, ShopError

COMPLETED = {"status": "completed", "total": Decimal("25.00"), "created_at": "2026-01-01T00:00:00+00:00"}
COMPENSATED = {**COMPLETED, "status": "compensated"}


def ending(story: Story, saga: Json, **changes: Any) -> Ending:
    sold = saga["status"] == "completed"
    seen: dict[str, Any] = {
        "order": "confirmed" if sold else "none",
        "captured": Decimal(25) if sold else Decimal(0),
        "refunded": Decimal(0),
        "before": (10, 0, 0),
        "after": (8, 0, 2) if sold else (10, 0, 0),
        "quantity": 2,
    }
    return Ending(story, {**saga, "ended_at": "2026-01-01T00:00:00.041+00:00"}, **{**seen, **changes})


def test_endings_as_told() -> None:
    assert ending(SUCCESS, COMPLETED).as_told()
    assert ending(DECLINED, COMPENSATED).as_told()
    assert ending(DECLINED, COMPENSATED, captured=Decimal(25), refunded=Decimal(25)).as_told()
    assert ending(SUCCESS, COMPLETED).row()[-1] == "41 ms"


@pytest.mark.parametrize(
    "other",
    [
        ending(SUCCESS, COMPENSATED),
        ending(DECLINED, COMPLETED),
        ending(SUCCESS, COMPLETED, order="pending"),
        ending(SUCCESS, COMPLETED, order="confirmed, confirmed"),
        ending(SUCCESS, COMPLETED, captured=Decimal(50)),
        ending(SUCCESS, COMPLETED, refunded=Decimal(25)),
        ending(SUCCESS, COMPLETED, after=(10, 0, 0)),
        ending(SUCCESS, COMPLETED, after=(8, 2, 0)),
        ending(DECLINED, COMPENSATED, order="cancelled"),
        ending(DECLINED, COMPENSATED, captured=Decimal(25)),
        ending(DECLINED, COMPENSATED, after=(8, 2, 0)),
    ],
)
def test_other_endings(other: Ending) -> None:
    assert not other.as_told()
    assert "NOT AS TOLD" in other.row()[1]


class Told(Shop):
    """An orchestrator whose answers are known beforehand; of the last saga for ever."""

    def __init__(self, *answers: tuple[str, list[Json]]) -> None:
        super().__init__({})
        self._answers = list(answers)

    def get(self, service: str, path: str) -> Json:
        assert service == "saga_orchestrator"
        status, items = self._answers[0]
        if path.endswith("/timeline"):
            self._answers = self._answers[1:] or self._answers
            return {"items": items}
        return {"status": status}


def entry(ms: int, kind: str = "attempt", **columns: Any) -> Json:
    time = f"2026-01-01T00:00:00.{ms:03}+00:00"
    empty = dict.fromkeys(("step", "direction", "outcome", "detail"))
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
    saga = follow(Told(("running", items[:2]), ("running", items[:2]), ("compensated", items)), "id")
    assert saga["status"] == "compensated"
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "0 ms accepted",
        "5 ms -> process_payment no answer 0.0 ms pagos: no answer in time",
        "250 ms -> process_payment refused 0.0 ms try 2, pagos: HTTP 402",
        "251 ms turning back",
        "260 ms <- undo process_payment done 0.0 ms",
        "270 ms compensated",
    ]


def test_a_saga_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(narration, "MOST_SECONDS", 0.1)
    with pytest.raises(ShopError, match="still running"):
        follow(Told(("running", [])), "id")


def test_a_request_as_a_command() -> None:
    request = Request("POST", "http://x/a?b=c&d=e", {"name": "it's"}, {"Prefer": "wait=1"})
    assert shlex.split(request.curl().replace("\\\n", " ")) == [
        *("curl", "-s", "-X", "POST", "http://x/a?b=c&d=e"),
        *("-H", "Content-Type: application/json", "-H", "Prefer: wait=1"),
        *("-d", '{"name":"it\'s"}'),
    ]
    assert Request("GET", "http://x/a").curl() == "curl -s http://x/a"


@pytest.mark.parametrize(
    ("terminal", "no_colour", "shown"),
    [(True, "", "\033[31mno\033[0m"), (True, "1", "no"), (False, "", "no")],
)
def test_colours_are_for_terminals(monkeypatch: pytest.MonkeyPatch, terminal: bool, no_colour: str, shown: str) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    monkeypatch.setenv("NO_COLOR", no_colour)
    assert table.paint("no", "red") == shown

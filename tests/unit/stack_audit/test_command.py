"""`python -m stack.audit` against services that answer what a test says."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from stack import audit
from stack.books import Unreadable, read_books
from stack.processes import PROCESSES
from tests.unit.stack_audit.audits import ORCHESTRATED, good_audits

# Status and body of each answer; the last one is repeated.
Answers = list[tuple[int, bytes]]
Serve = Callable[[Answers], str]


def ok(body: Any) -> tuple[int, bytes]:
    return 200, json.dumps(body).encode()


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:

        def start(answers: Answers) -> str:
            class Handler(BaseHTTPRequestHandler):
                def do_GET(self) -> None:
                    assert self.path == "/audit"
                    status, body = answers.pop(0) if len(answers) > 1 else answers[0]
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

                def log_message(self, *_: object) -> None:
                    pass

            server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            stack.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_port}"

        yield start


@pytest.fixture
def urls(serve: Serve) -> dict[str, str]:
    """Services whose books are in order."""
    return {name: serve([ok(body)]) for name, body in good_audits().items()}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    def command(urls: dict[str, str], *arguments: str) -> int:
        for name in audit.AUDITED:
            monkeypatch.setenv(PROCESSES[name].url_setting, urls[name])
        monkeypatch.setattr("sys.argv", ["audit", "--home", str(tmp_path), *arguments])
        return audit.main()

    return command


def test_good_books(run: Callable[..., int], urls: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(urls) == 0
    shown = capsys.readouterr().out
    assert "Captured - refunded = total of confirmed orders" in shown
    assert shown.count(" holds ") >= len(audit.RULES)
    assert "\033" not in shown


def test_a_broken_rule_is_named_and_fails(
    run: Callable[..., int], urls: dict[str, str], serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    urls["pagos"] = serve([ok(good_audits(pagos__ledger_sum=5)["pagos"])])
    assert run(urls) == 1
    assert "BROKEN: ledger_sums_to_zero" in capsys.readouterr().out


def test_a_service_that_is_down_is_named(
    run: Callable[..., int], urls: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    urls["inventario"] = "http://127.0.0.1:1"
    assert run(urls) == 2
    assert "inventario: connection refused or broken (http://127.0.0.1:1/audit)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((503, b'{"title": "Not now"}'), "carrito: HTTP 503"),
        ((200, b"<html>"), "carrito: HTTP 200 without JSON"),
        ((200, b"[]"), "carrito: this is no audit"),
        (ok({}), "carrito: this is no audit: carts: Field required"),
        (ok(good_audits(carrito__confirmed_minor={"EUR": "much"})["carrito"]), "confirmed_minor.EUR"),
    ],
)
def test_what_is_no_audit_is_said(urls: dict[str, str], serve: Serve, answer: tuple[int, bytes], why: str) -> None:
    urls["carrito"] = serve([answer])
    with pytest.raises(Unreadable, match=why):
        read_books(urls)


def test_it_waits_until_things_are_quiet(urls: dict[str, str], serve: Serve) -> None:
    busy = ok(good_audits(saga_orchestrator__live=1)["saga_orchestrator"])
    answers = [busy, busy, busy, ok(good_audits()["saga_orchestrator"])]
    urls["saga_orchestrator"] = serve(answers)
    assert audit.check(urls, wait_seconds=30).clean
    assert len(answers) == 1


def test_what_the_events_did_not_tell_yet_gets_a_moment(urls: dict[str, str], serve: Serve) -> None:
    behind = ok(good_audits(saga_choreography__completed_sagas={"count": 0, "sum": "0"})["saga_choreography"])
    answers = [behind, behind, ok(good_audits()["saga_choreography"])]
    urls["saga_choreography"] = serve(answers)
    assert audit.check(urls).clean
    assert len(answers) == 1


def test_what_is_broken_in_one_snapshot_gets_none(urls: dict[str, str], serve: Serve) -> None:
    answers = [ok(good_audits(pagos__ledger_sum=5)["pagos"]), ok(good_audits()["pagos"])]
    urls["pagos"] = serve(answers)
    assert audit.check(urls, wait_seconds=30).broken == ("ledger_sums_to_zero",)


def test_a_shop_without_choreographed_checkouts_has_books_too(urls: dict[str, str], serve: Serve) -> None:
    urls.pop("saga_choreography")
    for service, sagas in (("carrito", "confirmed_sagas"), ("inventario", "committed_sagas"), ("pagos", "paid_sagas")):
        urls[service] = serve([ok({**good_audits()[service], sagas: ORCHESTRATED})])
    assert audit.check(urls).clean


def test_without_waiting_it_says_what_is_going_on(
    run: Callable[..., int], urls: dict[str, str], serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    urls["saga_orchestrator"] = serve([ok(good_audits(saga_orchestrator__live=1)["saga_orchestrator"])])
    assert run(urls) == 0
    assert "Not quiet: sagas under way: 1" in capsys.readouterr().out


def test_what_does_not_end_within_the_wait_is_broken(
    run: Callable[..., int], urls: dict[str, str], serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    urls["saga_orchestrator"] = serve([ok(good_audits(saga_orchestrator__live=1)["saga_orchestrator"])])
    assert run(urls, "--wait", "0.1") == 1
    assert "BROKEN: sagas_end" in capsys.readouterr().out

"""`python -m bench` on a running system: its output, and that the books balance afterwards. Never how fast it is."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import create_engine, text

from bench.styles import STYLES
from shared.config import ROOT
from stack.audit import run as audit
from stack.processes import PROCESSES
from tests.system.running import RunningSystem

AVAILABLE = [name for name, (_, service) in STYLES.items() if service is None or service in audit.AUDITED]
Bench = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def system(start_system: Callable[..., RunningSystem], rabbitmq_url: str) -> RunningSystem:
    return start_system(rabbitmq_url=rabbitmq_url)


@pytest.fixture
def bench(system: RunningSystem, fresh_database_url: str, tmp_path: Path) -> Bench:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        env = {PROCESSES[name].url_setting: system.url(name) for name in audit.AUDITED}
        command = [sys.executable, "-m", "bench", "--home", str(tmp_path), "--rounds", "1", *arguments]
        return subprocess.run(
            command,
            cwd=ROOT,
            env=os.environ | env | {"DATABASE_URL": fresh_database_url},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def figures_of(results: dict[str, Any], style: str) -> list[dict[str, Any]]:
    return [each for each in results["results"] if each["style"] == style]


def test_it_measures_every_style_under_every_load_and_the_books_balance(
    bench: Bench, system: RunningSystem, tmp_path: Path
) -> None:
    file = tmp_path / "results.json"
    done = bench("--sagas", "6", "--declines", "0.5", "--concurrency", "1,3", "--json", str(file))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert "Many products" in done.stdout
    assert "One hot product" in done.stdout
    results = json.loads(file.read_text())
    assert results["audit"] == {"clean": True, "broken": []}
    cases = {(each["load"], each["concurrency"], each["style"]) for each in results["results"]}
    assert cases == {(load, flight, each) for load in ("spread", "hot") for flight in (1, 3) for each in AVAILABLE}
    for each in results["results"]:
        assert each["sagas"] == 6
        assert each["sagas_per_second"] > 0
        assert 0 < each["p50_ms"] <= each["p95_ms"] <= each["p99_ms"]
        assert each["cpu_ms"].keys() >= {"all", "driver"}
        assert each["writing_transactions"] > 2
        assert each["wal_kilobytes"] > 0
        assert each["messages_published"] is None, "there is no RabbitMQ of the stack's here"
        assert each["ratio_to_baseline"].keys() == {"sagas_per_second", "p50_ms", "cpu_ms"}
    for each in figures_of(results, "baseline"):
        assert each["ratio_to_baseline"]["p50_ms"] == 1
        # Four requests, or two if the payment is declined; and those that sagas of the previous round may still send.
        assert 3 <= each["http_requests"] < 6
    assert audit.check({name: system.url(name) for name in audit.AUDITED}).clean


def test_styles_and_loads_can_be_chosen(bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    done = bench("--sagas", "2", "--styles", "orchestrated", "--hot", "--concurrency", "2", "--json", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads(file.read_text())["results"]
    assert [(each["style"], each["load"], each["concurrency"]) for each in results] == [("orchestrated", "hot", 2)]
    assert results[0]["ratio_to_baseline"] == {"sagas_per_second": None, "p50_ms": None, "cpu_ms": None}


def test_books_that_do_not_balance_fail_it(bench: Bench, system: RunningSystem, fresh_database_url: str) -> None:
    reply = requests.post(system.url("pagos") + "/api/v1/wallets/ana/deposits", json={"amount": "10.00"}, timeout=10)
    assert reply.status_code == 201
    engine = create_engine(fresh_database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE pagos.wallets SET balance_minor = balance_minor - 1"))
    engine.dispose()
    done = bench("--sagas", "2", "--styles", "baseline", "--hot", "--concurrency", "1")
    assert done.returncode == 1
    assert "BROKEN: wallets_match_ledger" in done.stdout

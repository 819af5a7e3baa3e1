"""`python -m stack.demo` on a running system, and the commands that it prints."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.config import ROOT
from stack import audit
from stack.processes import PROCESSES
from tests.system.running import RunningSystem


@pytest.fixture
def system(start_system: Callable[..., RunningSystem], rabbitmq_url: str) -> RunningSystem:
    return start_system(rabbitmq_url=rabbitmq_url)


@pytest.fixture
def demo(system: RunningSystem, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(**env: str) -> subprocess.CompletedProcess[str]:
        urls = {PROCESSES[name].url_setting: system.url(name) for name in audit.AUDITED}
        command = [sys.executable, "-m", "stack.demo", "--home", str(tmp_path)]
        return subprocess.run(
            command, cwd=ROOT, env=os.environ | urls | env, capture_output=True, text=True, check=False
        )

    return run


def curl_lines(output: str) -> Iterator[str]:
    """The commands as a reader would copy them, continued lines and all."""
    command: list[str] = []
    for line in output.splitlines():
        if command or line.lstrip().startswith("curl "):
            command.append(line)
            if not line.endswith("\\"):
                yield "\n".join(command)
                command.clear()


def sh(command: str) -> Any:
    """What a command prints, which is JSON."""
    return json.loads(subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout)


def closing_table(output: str) -> list[list[str]]:
    """The cells of the table's rows."""
    lines = output[output.index("\nWhat became of them") :].split("\n\n", maxsplit=1)[0].strip().splitlines()
    return [re.split(r"\s{2,}", line.strip()) for line in lines[3:]]


def test_the_demo_tells_three_checkouts_and_can_be_repeated(demo: Callable[..., Any], system: RunningSystem) -> None:
    for run in range(2):
        done = demo()
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stderr == ""
        assert "\033" not in done.stdout
        assert [row[:4] for row in closing_table(done.stdout)] == [
            ["1. Success", "completed", "confirmed", "25.00 / 0.00"],
            ["2. Declined card", "compensated", "none", "0.00 / 0.00"],
            ["3. Stock shortage", "compensated", "none", "0.00 / 0.00"],
        ]
        assert [row[4] for row in closing_table(done.stdout)] == [
            f"10/0/{2 * run} -> 8/0/{2 * run + 2}",
            f"8/0/{2 * run + 2} -> 8/0/{2 * run + 2}",
            f"0/0/{run + 1} -> 0/0/{run + 1}",
        ]
        assert f"Audit: All {len(audit.RULES)} rules hold." in done.stdout
    assert audit.check({name: system.url(name) for name in audit.AUDITED}).clean


def test_it_shows_steps_forward_and_compensations_in_reverse(demo: Callable[..., Any]) -> None:
    output = demo().stdout
    declined = output[output.index("\n2. Declined") : output.index("\n3. Stock")]
    steps = [line.split() for line in declined.splitlines() if " -> " in line or " <- " in line]
    assert [" ".join(words[2 : words.index("ms", 2) - 1]) for words in steps] == [
        "-> read_cart done",
        "-> reserve_inventory done",
        "-> process_payment refused",
        "<- undo create_order done",
        "<- undo process_payment done",
        "<- undo reserve_inventory done",
        "-> release_cart done",
    ]


def test_its_commands_work_as_they_stand(demo: Callable[..., Any], system: RunningSystem) -> None:
    output = demo().stdout
    *checkouts, saga, timeline, undo, listed, ready = curl_lines(output)
    first = sh(saga)
    assert first["status"] == "completed"
    repeated = [sh(command)["saga_id"] for command in checkouts]
    assert repeated[0] == first["saga_id"], "a repeated checkout is the same saga"
    assert sh(timeline)["items"][-1]["kind"] == "completed"
    assert sh(undo)["status"] == "compensated"
    assert first["saga_id"] in {each["saga_id"] for each in sh(listed)["items"]}
    assert sh(ready)["status"] == "completed"
    assert sh(ready)["status"] == "completed"
    assert audit.check({name: system.url(name) for name in audit.AUDITED}).clean


def test_a_checkout_that_meets_a_dead_service_ends_when_that_is_back(
    demo: Callable[..., Any], system: RunningSystem
) -> None:
    *_, ready = curl_lines(demo().stdout)
    system.kill("pagos")
    with subprocess.Popen(["sh", "-c", ready], stdout=subprocess.PIPE, text=True) as waiting:
        system.restart("pagos")
        answer, _ = waiting.communicate(timeout=60)
    assert json.loads(answer)["status"] == "completed"


def test_a_service_that_is_down_is_named(demo: Callable[..., Any]) -> None:
    done = demo(INVENTARIO_SERVICE_URL="http://127.0.0.1:1")
    assert done.returncode == 1
    assert "No answer from http://127.0.0.1:1/api/products. Is everything up?" in done.stderr
    assert "Traceback" not in done.stderr

"""`python -m stack.demo` on its own stack, and the commands that it prints."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests

from shared.config import ROOT
from stack import settings
from stack.audit import run as audit
from stack.home import Home
from stack.processes import PROCESSES
from tests.system.brokers import end_private, needs_rabbitmq

pytestmark = needs_rabbitmq
Done = subprocess.CompletedProcess[str]
Demo = Callable[..., Done]

# Private servers on free ports, also where the user has servers.
OWN = dict.fromkeys(settings.SERVER_OF, "") | {port: "0" for each in PROCESSES.values() for port in each.ports}

# A proxy that does not answer: requests to this machine must not use it.
BEHIND_A_PROXY = {
    "http_proxy": "http://127.0.0.1:9",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "no_proxy": "",
    "NO_PROXY": "",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The home of a stack started as `make demo` does."""
    home = tmp_path_factory.mktemp("stack")
    try:
        up = python("stack", "up", "--free-ports", "--home", str(home), FAULTS="true")
        assert up.returncode == 0, up.stdout + up.stderr
        yield home
    finally:
        end_private(home)


@pytest.fixture
def demo(home: Path) -> Demo:
    def run(home: Path = home, **env: str) -> Done:
        return python("stack.demo", "--home", str(home), **env)

    return run


@pytest.fixture(scope="module")
def told(home: Path) -> str:
    """Return the demo's output on a new stack."""
    done = python("stack.demo", "--home", str(home), **BEHIND_A_PROXY)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout


def python(module: str, *arguments: str, **env: str) -> Done:
    """Run a module without the user's settings."""
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=ROOT, env=os.environ | OWN | env, capture_output=True, text=True, check=False)


def urls_of(home: Path) -> dict[str, str]:
    told = settings.read_env_file(Home.at(home).env_file)
    return {PROCESSES[name].url_setting: told[PROCESSES[name].url_setting] for name in audit.AUDITED}


def curl_lines(output: str) -> list[str]:
    """Return the commands in the output, with their continued lines."""
    return re.findall(r"^ *(curl (?:.*\\\n)*.*)$", output, re.MULTILINE)


def sh(command: str) -> Any:
    """Run a command; return the JSON that it prints."""
    return json.loads(subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout)


def rows(output: str, title: str) -> list[list[str]]:
    """Return the cells of the rows of a table."""
    lines = output[output.index(f"\n{title}\n") :].split("\n\n", maxsplit=1)[0].strip().splitlines()
    return [re.split(r"\s{2,}", line.strip()) for line in lines[3:] if ":" not in line]


def story(output: str, number: int, style: str) -> list[list[str]]:
    """Return the words of the lines about a checkout, without times."""
    part = output[output.index(f"\n{number}. ") :]
    part = part[part.index(f"\n  {style}: ") + 1 :].split("\n\n", maxsplit=1)[0]
    return [line.split()[2:] for line in part.splitlines() if " ms  " in line]


def steps(lines: Sequence[Sequence[str]]) -> list[str]:
    """Return the steps and outcomes in the lines of an orchestrated checkout."""
    return [" ".join(words[: words.index("ms") - 1]) for words in lines if words[0] in {"->", "<-"}]


def test_it_tells_every_checkout_in_both_styles(told: str) -> None:
    assert "\033" not in told
    assert [row[:5] for row in rows(told, "What became of them")] == [
        ["1. Success", "orchestrated", "completed", "confirmed", "25.00 / 0.00"],
        ["1. Success", "choreographed", "completed", "confirmed", "25.00 / 0.00"],
        ["2. Declined card", "orchestrated", "compensated", "none", "0.00 / 0.00"],
        ["2. Declined card", "choreographed", "compensated", "none", "0.00 / 0.00"],
        ["3. Stock shortage", "orchestrated", "compensated", "none", "0.00 / 0.00"],
        ["3. Stock shortage", "choreographed", "compensated", "none", "0.00 / 0.00"],
        ["4. Killed service", "orchestrated", "completed", "confirmed", "12.50 / 0.00"],
        ["4. Killed service", "choreographed", "completed", "confirmed", "12.50 / 0.00"],
    ]
    assert f"All {len(audit.RULES)} rules hold." in told


def test_it_says_what_each_took(told: str) -> None:
    took = {(row[0][0], row[1]): row[2:] for row in rows(told, "What it took")}
    assert all(int(time.removesuffix(" ms")) > 0 for time, *_ in took.values())
    assert all(int(commits) > 3 for *_, commits in took.values())
    calls = {which: int(row[1]) for which, row in took.items()}
    for number in "123":
        # The client's request, the handover, and the requests of the steps.
        assert calls[number, "orchestrated"] == 3 + len(steps(story(told, int(number), "Orchestrated")))
        assert calls[number, "choreographed"] == 3
    messages = {which: int(row[2]) for which, row in took.items()}
    # A sold-out checkout is compensated at all services: another request may have done a step under its saga's id.
    assert {number: messages[number, "choreographed"] for number in "1234"} == {"1": 10, "2": 7, "3": 7, "4": 10}
    assert {messages[number, "orchestrated"] for number in "1234"} == {0}


def test_an_orchestrated_checkout_is_told_by_its_steps_forward_and_back(told: str) -> None:
    assert steps(story(told, 2, "Orchestrated")) == [
        "-> reserve_inventory done",
        "-> process_payment refused",
        "<- undo create_order done",
        "<- undo process_payment done",
        "<- undo reserve_inventory done",
        "-> release_cart done",
    ]


def test_a_choreographed_checkout_is_told_by_its_events_and_their_causes(told: str) -> None:
    assert [" ".join(words) for words in story(told, 2, "Choreographed")] == [
        "carrito checkout.initiated",
        "inventario inventory.reserve.requested because of checkout.initiated",
        "inventario inventory.reserved because of checkout.initiated",
        "pagos payment.requested because of inventory.reserved",
        "pagos payment.failed because of inventory.reserved, the card's issuer declined it",
        "inventario inventory.released because of payment.failed",
        "carrito checkout.failed because of inventory.released",
    ]


def test_a_service_is_killed_in_the_middle_and_the_checkout_goes_on(told: str) -> None:
    orchestrated, choreographed = (story(told, 4, style) for style in ("Orchestrated", "Choreographed"))
    paying = [step for step in steps(orchestrated) if "process_payment" in step]
    assert (paying[0], paying[-1]) == ("-> process_payment no answer", "-> process_payment done")
    assert paying.count("-> process_payment done") == 1
    assert " ".join(next(line for line in orchestrated if "before:" in line)).endswith("process_payment=kill*1")
    assert ["pagos", "payment.processed"] in [line[:2] for line in choreographed if line[-1] == "kill"]


def test_its_commands_work_as_they_stand(told: str, home: Path) -> None:
    commands = curl_lines(told)
    checkouts, (saga, timeline, other, events, undo, undo_other, listed, others, ready) = commands[:2], commands[2:]
    ids = [sh(saga)["saga_id"], sh(other)["saga_id"]]
    assert [sh(command)["saga_id"] for command in checkouts] == ids, "a repeated checkout is the same saga"
    assert {sh(each)["status"] for each in (saga, other)} == {"completed"}
    assert sh(timeline)["items"][-1]["kind"] == "completed"
    assert sh(events)["items"][-1]["event"] == "checkout.completed"
    assert {sh(each)["status"] for each in (undo, undo_other)} == {"compensated"}
    for saga_id, command in zip(ids, (listed, others), strict=True):
        assert saga_id in {each["saga_id"] for each in sh(command)["items"]}

    kill = re.findall(r"^ *(kill -9 .*)$", told, re.MULTILINE)[0]
    status = f"{sys.executable} -m stack status --home '{home}'"
    subprocess.run(["sh", "-c", kill.replace("make -s status", status)], check=True, cwd=ROOT)
    assert sh(ready)["status"] == "completed"
    assert sh(ready)["status"] == "completed"
    assert audit.check(audit.urls_of(Home.at(home)), wait_seconds=10).clean


def test_nothing_is_left_switched_on(home: Path, told: str) -> None:
    assert told
    shown = requests.get(f"{urls_of(home)['PAGOS_SERVICE_URL']}/faults", timeout=60).json()
    assert shown["items"] == []


def test_what_is_not_its_own_database_is_not_measured(demo: Demo, home: Path, told: str, tmp_path: Path) -> None:
    """On a stack where it ran before, since it can be repeated."""
    assert told
    done = demo(tmp_path, **urls_of(home))
    assert done.returncode == 0, done.stdout + done.stderr
    assert {row[-1] for row in rows(done.stdout, "What it took")} == {"-"}


def test_a_service_that_is_down_is_named(demo: Demo) -> None:
    done = demo(INVENTARIO_SERVICE_URL="http://127.0.0.1:1")
    assert done.returncode == 1
    assert "No answer from http://127.0.0.1:1/api/products. Is everything up?" in done.stderr
    assert "Traceback" not in done.stderr

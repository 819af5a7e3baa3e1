"""What a new user does with curl: `walk.sh`, the commands of docs/by-hand.md, and those of the README."""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from shared.config import ROOT
from shared.testing import wait_until
from stack.processes import PROCESSES
from tests.e2e.shop import (
    CARRITO,
    CHOREOGRAPHED,
    CHOREOGRAPHY,
    EXECUTOR,
    INVENTARIO,
    ORCHESTRATED,
    ORCHESTRATOR,
    PAGOS,
    SEPARATE,
    Shop,
)
from tests.e2e.walking import SECONDS, WALK, Done, environment, walk_through
from tests.system.brokers import Broker, vhost_of

LISTS = {ORCHESTRATED: (ORCHESTRATOR, "/saga"), CHOREOGRAPHED: (CHOREOGRAPHY, "/saga/choreography/status")}
TOKEN = "correct horse"
Walk = Callable[..., Done]

BLOCK = re.compile(r"^```(bash|json)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [code for _, code in BLOCK.findall((ROOT / "docs/by-hand.md").read_text())]
README = dict(BLOCK.findall((ROOT / "README.md").read_text()))
ID_OR_TIME = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|\d{4}-\d\d-\d\dT[\d:.]+\+00:00")


@pytest.fixture(scope="module")
def shop_settings(broker_url: str) -> dict[str, Any]:
    return {"rabbitmq_url": broker_url}


@pytest.fixture
def walk(shop: Shop) -> Walk:
    """Run `walk.sh` on the shop, with these additional settings."""
    return partial(walk_through, shop)


def with_queues(broker: Broker, broker_url: str) -> dict[str, str]:
    """Return settings that let `walk.sh` inspect the queues."""
    login = urlsplit(broker_url).netloc.rpartition("@")[0] or "guest:guest"
    return {
        "RABBITMQ_MANAGEMENT_URL": broker.management_url.replace("://", f"://{login}@"),
        "RABBITMQ_URL": broker_url,
    }


def ends(shop: Shop, style: str) -> Counter[str]:
    """Count the sagas by status, after all have ended."""
    shop.until_quiet()
    service, path = LISTS[style]
    page = shop.get(service, f"{path}?limit=200").body
    assert page["next_cursor"] is None
    return Counter(saga["status"] for saga in page["items"])


def ok_lines(done: Done) -> int:
    return len(re.findall(r"^  ok  ", done.stdout, re.MULTILINE))


def assert_stopped_at(done: Done, what: str, expected: str, came: str) -> None:
    """Check that it failed at this check, printed both values and the request, and did not report success."""
    assert done.returncode == 1, done.stdout + done.stderr
    told = dict(re.findall(r"^(NOT SO:|  expected |  came     |  request  ) (.*)$", done.stderr, re.MULTILINE))
    assert told["NOT SO:"] == what
    assert fnmatchcase(told["  expected "], expected), done.stderr
    assert fnmatchcase(told["  came     "], came), done.stderr
    assert told["  request  "].startswith("curl ")
    assert "All " not in done.stdout


def test_it_goes_through_a_shop_in_both_styles(shop: Shop, walk: Walk, broker: Broker, broker_url: str) -> None:
    before = {style: ends(shop, style) for style in LISTS}
    for window, _ in LISTS.values():
        shop.restart(window, ADMIN_TOKEN=TOKEN)
    done = walk(ADMIN_TOKEN=TOKEN, http_proxy="http://127.0.0.1:9", **with_queues(broker, broker_url))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert done.stdout.endswith(f"\nAll {ok_lines(done)} things are as they should be.\n")
    assert re.findall(r"^\w+$", done.stdout, re.MULTILINE) == [
        *("Services", "Queues", "Queues", "Orchestrated", "Choreographed", "Queues")
    ]
    for style in LISTS:
        assert ends(shop, style) - before[style] == Counter(completed=3, compensated=3)


def test_it_stops_where_a_service_is_down(shop: Shop, walk: Walk) -> None:
    shop.system.kill(INVENTARIO)
    done = walk()
    assert_stopped_at(done, "it answers", "an answer", "none")
    assert f"curl -X 'GET' '{shop.urls[INVENTARIO]}/health'" in done.stderr


def test_it_stops_where_a_url_leads_to_another_service(shop: Shop, walk: Walk) -> None:
    done = walk(PAGOS_SERVICE_URL=shop.urls[CARRITO])
    assert_stopped_at(done, "pagos is well", "*service: pagos", "*service: carrito")


def test_it_stops_where_it_may_not_do_what_operators_do(shop: Shop, walk: Walk) -> None:
    shop.restart(ORCHESTRATOR, ADMIN_TOKEN=TOKEN)
    wrong = "tr0ub4dor"
    done = walk(ADMIN_TOKEN=wrong)
    assert_stopped_at(done, "the saga is compensated", "202 *", "401 application/problem+json*")
    assert wrong not in done.stdout + done.stderr


def test_it_stops_where_it_may_not_add_products(shop: Shop, walk: Walk) -> None:
    shop.restart(INVENTARIO, SERVICE_TOKEN=TOKEN)
    wrong = "tr0ub4dor"
    done = walk(SERVICE_TOKEN=wrong)
    assert_stopped_at(done, "a new product", "201 *", "401 application/problem+json*")
    assert wrong not in done.stdout + done.stderr


def test_it_stops_where_a_checkout_does_not_end(shop: Shop, walk: Walk) -> None:
    shop.restart(ORCHESTRATOR, **SEPARATE)
    for executor in (name for name in shop.system.names if name.startswith(EXECUTOR)):
        shop.system.freeze(executor)
    done = walk(WALK_WAIT_SECONDS="1")
    assert_stopped_at(done, "paid by credit_card, the saga is completed", "200 *completed*", "202 *pending*")


def test_it_stops_where_a_queue_of_dead_letters_is_not_empty(
    shop: Shop, walk: Walk, broker: Broker, broker_url: str
) -> None:
    env, vhost = with_queues(broker, broker_url), vhost_of(broker_url)
    api = f"{env['RABBITMQ_MANAGEMENT_URL']}/api"
    queue = f"{api}/queues/{vhost}/inventario.dead"
    letter = {"properties": {}, "routing_key": "inventario.dead", "payload": "?", "payload_encoding": "string"}
    requests.post(f"{api}/exchanges/{vhost}/amq.default/publish", json=letter, timeout=SECONDS).raise_for_status()
    try:
        wait_until(lambda: requests.get(queue, timeout=SECONDS).json().get("messages") == 1, "the letter is counted")
        done = walk(WALK_WAIT_SECONDS="1", **env)
    finally:
        requests.delete(f"{queue}/contents", timeout=SECONDS).raise_for_status()
    assert_stopped_at(done, "inventario.dead: messages 0", "*messages: 0", "*messages: 1")
    assert f"'{broker.management_url}/api/queues/" in done.stderr, "without the password"


def test_it_explains_itself() -> None:
    done = subprocess.run([WALK, "--help"], capture_output=True, text=True, check=True)
    assert set(re.findall(r"\b[A-Z]+_URL\b", WALK.read_text())) <= set(re.findall(r"\w+", done.stdout))
    assert subprocess.run([WALK, "--quickly"], capture_output=True, check=False).returncode == 2


# The commands of docs/by-hand.md and of the README.


def bash(shop: Shop, script: str, folder: Path, make: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start a script as a reader's shell would run it, with this replacement of `make`."""
    for port, url in ((PROCESSES[name].ports[PROCESSES[name].port_setting], url) for name, url in shop.urls.items()):
        script = script.replace(f"localhost:{port}", url)
    assert "localhost" not in script
    cases = "\n".join(f"  '{goal}') {command} ;;" for goal, command in make.items())
    program = folder / "make"
    program.write_text(f'#!/bin/sh\ncase "$*" in\n{cases}\n  *) exit 2 ;;\nesac\n')
    program.chmod(0o755)
    env = environment(shop)
    env["PATH"] = f"{folder}:{env['PATH']}"
    command = ["bash", "-euo", "pipefail", "-c", script]
    return subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def outcome(running: subprocess.Popen[str]) -> str:
    """Return the output of a script, which must succeed."""
    try:
        output, errors = running.communicate(timeout=SECONDS)
    finally:
        running.kill()
    assert running.returncode == 0, output + errors
    return output


def assert_printed_as_told(script: str, output: str) -> None:
    """Check that values from answers are as the comment beside the command says; brackets may explain them."""
    told = [comment.split(" (")[0] for comment in re.findall(r"\| take \w+ +# (.*)$", script, re.MULTILINE)]
    taken = re.findall(r"(?:^|})(process_payment: .*|reserve_inventory: .*|\w+)$", output, re.MULTILINE)
    assert len(told) == len(taken) >= 4, output
    for each, said in zip(taken, told, strict=True):
        assert fnmatchcase(each, said.replace("…", "*"))


def test_the_commands_by_hand_do_what_the_page_says(shop: Shop, tmp_path: Path) -> None:
    """All commands, one after the other; only this test restarts services that were killed."""
    before = {style: ends(shop, style) for style in LISTS}
    script = "\n".join(BLOCKS)
    pagos = shop.system._instances[PAGOS].pid
    status = f"printf '%s\\n' 'process state pid' 'pagos running {pagos}' 'pagos-worker running 1'"
    make = {"audit": f"{sys.executable} -m stack.audit --wait 10", "-s status": status}
    running = bash(shop, script, tmp_path, make)
    wait_until(lambda: running.poll() is not None or not shop.system.alive(PAGOS), "pagos is killed", SECONDS)
    if not shop.system.alive(PAGOS):
        shop.restart(PAGOS)
    output = outcome(running)
    assert shop.system._instances[PAGOS].pid != pagos, "it was killed"
    assert_printed_as_told(script, output)
    assert '"event":"checkout.completed"' in output
    assert output.count("rules hold.") == script.count("make audit")
    became = {style: ends(shop, style) - before[style] for style in LISTS}
    assert became[ORCHESTRATED] == Counter(completed=3, compensated=3)
    assert became[CHOREOGRAPHED] == Counter(compensated=1)


def test_the_failures_by_hand_are_the_same_in_the_other_style(shop: Shop, tmp_path: Path) -> None:
    before = ends(shop, CHOREOGRAPHED)
    first, _, failures, *_ = BLOCKS
    script = failures.replace("STYLE=orchestrated ", "STYLE=choreographed ")
    assert script != failures
    output = outcome(bash(shop, first.split("\nCART=")[0] + "\n" + script, tmp_path, {}))
    assert_printed_as_told(script, output)
    assert '"available":0,"held":0,"sold":1}' in output
    assert ends(shop, CHOREOGRAPHED) - before == Counter(completed=2, compensated=2)


def test_the_readme_s_commands_are_answered_as_it_shows(shop: Shop, tmp_path: Path) -> None:
    """Except for ids, times, and what it leaves out."""
    running = bash(shop, f"exec 2>&1\n{README['bash']}", tmp_path, {})
    answers = outcome(running).splitlines()
    shown = README["json"].splitlines()
    assert len(answers) == len(shown) > 3
    for answer, line in zip(answers, shown, strict=True):
        assert fnmatchcase(masked(answer), masked(line).replace("[", "[[]").replace("…", "*")), line


def masked(text: str) -> str:
    """Replace ids and times, which differ each time."""
    return re.sub(r'("id":|"product_id":)\d+', r"\1…", ID_OR_TIME.sub("…", text))

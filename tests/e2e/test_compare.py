"""`python -m bench.compare` as a whole: it starts a stack, breaks it, and reports the results. Never how fast it is."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.compare.results import Comparison, load
from bench.compare.scenarios import QUICK, STYLES
from shared.config import ROOT
from stack import owned
from stack.home import Home
from tests.system.brokers import needs_rabbitmq

pytestmark = needs_rabbitmq
SCENARIOS = ("declines", "lost-answers", "pagos-down")
ARRIVED = round(QUICK.per_second * QUICK.seconds)


@dataclass(frozen=True)
class Done:
    """A quick comparison that has run."""

    status: int
    said: str
    report: str
    kept: Comparison
    home: Path


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("compared")
    report, kept, home = folder / "report.html", folder / "kept.json", folder / "stack"
    where = ("--home", str(home), "--out", str(report), "--json", str(kept))
    command = [sys.executable, "-m", "bench.compare", "--quick", "--only", ",".join(SCENARIOS), *where]
    # Servers and tokens that a user has elsewhere do not matter.
    theirs = {"DATABASE_URL": "postgresql://nowhere.invalid/x", "ADMIN_TOKEN": "theirs", "PAGOS_PORT": "1"}
    ran = subprocess.run(command, cwd=ROOT, env=os.environ | theirs, capture_output=True, text=True, check=False)
    assert report.exists(), ran.stdout + ran.stderr
    return Done(ran.returncode, ran.stdout + ran.stderr, report.read_text(), load(kept), home)


def test_the_books_balance_after_all_of_it(done: Done) -> None:
    assert done.status == 0, done.said
    assert done.kept.clean
    assert "rules hold" in done.said
    assert "no money and no stock was lost" in done.report


def test_both_styles_go_through_every_scenario_and_all_their_checkouts_end(done: Done) -> None:
    ran = [(each.scenario, each.style) for each in done.kept.rounds]
    assert sorted(ran) == sorted((scenario, style) for scenario in SCENARIOS for style in STYLES)
    for each in done.kept.rounds:
        count = ARRIVED if each.course else QUICK.sagas
        assert (len(each.latencies), each.ends.completed + each.ends.compensated) == (count, count)
        assert all(0 < time < each.seconds for time in each.ends.books_open)


def test_the_share_that_is_declined_is_undone_and_nothing_else(done: Done) -> None:
    for style in STYLES:
        (declines,) = done.kept.of("declines", style)
        (lost,) = done.kept.of("lost-answers", style)
        assert (declines.ends.compensated, len(declines.ends.undoing)) == (1, 1)
        assert (lost.ends.compensated, lost.ends.undoing) == (0, ())
        assert all(0 < time < declines.seconds for time in declines.ends.undoing)


def test_no_checkout_that_comes_while_pagos_is_down_ends_before_it_is_started_again(done: Done) -> None:
    for style in STYLES:
        course = done.kept.of("pagos-down", style)[0].course
        assert course is not None
        started = course.down + QUICK.down_for
        assert course.up > started
        came = [(start, end) for start, end in zip(course.arrived, course.ended, strict=True) if start > course.down]
        assert [(start, end) for start, end in came if start < started and end < started] == []


def test_the_report_shows_all_of_it_and_loads_nothing(done: Done) -> None:
    for title in ("Throughput", "CPU per saga", "Lost answers", "pagos is down", "Books open", "Time to compensate"):
        assert title in done.report
    assert re.findall(r"https?:|url\(|@import|<script|<link|\bsrc=|\bhref=", done.report) == []


def test_nothing_is_left_running(done: Done) -> None:
    assert owned.processes(Home.at(done.home)) == set()
    assert not (done.home / "postgres").exists()
    assert (done.home / "logs").is_dir()

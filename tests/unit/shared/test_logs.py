"""Log lines, as a process writes them."""

import json
import subprocess
import sys
from typing import Any

from shared.config import ROOT

CONFIGURED = "import logging, structlog; from shared.logs import configure_logs; log = structlog.get_logger()\n"


def lines(program: str, level: str = "INFO") -> list[dict[str, Any]]:
    """Return the lines that a process with this logging writes to standard error."""
    command = [sys.executable, "-c", f"{CONFIGURED}configure_logs('demo', {level!r})\n{program}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_our_lines_and_those_of_libraries_look_alike() -> None:
    ours, theirs = lines("log.warning('late', ms=7); logging.getLogger('lib').warning('late', extra={'ms': 7})")
    assert ours.pop("timestamp") <= theirs.pop("timestamp")
    assert ours == theirs == {"event": "late", "level": "warning", "service": "demo", "ms": 7}


def test_an_error_is_one_line_with_its_traceback() -> None:
    raising = "try: 1 / 0\nexcept ZeroDivisionError: {}.exception('failed')\n"
    for line in lines(raising.format("log") + raising.format("logging")):
        assert line["level"] == "error"
        assert line["exception"].endswith("ZeroDivisionError: division by zero")


def test_a_warning_of_python_is_a_line_too() -> None:
    (line,) = lines("import warnings; warnings.warn('two\\nlines')")
    assert line["level"] == "warning"
    assert "two\nlines" in line["event"]


def test_what_is_bound_to_the_context_is_on_every_line() -> None:
    bound = (
        "with structlog.contextvars.bound_contextvars(saga_id='s'): log.info('a'); logging.warning('b')\nlog.info('c')"
    )
    assert [line.get("saga_id") for line in lines(bound)] == ["s", "s", None]


def test_lines_below_the_level_are_left_out() -> None:
    said = "log.debug('a'); log.info('b'); log.warning('c'); logging.info('d'); logging.error('e')"
    assert [line["event"] for line in lines(said, "WARNING")] == ["c", "e"]
    assert [line["event"] for line in lines(said, "DEBUG")] == ["a", "b", "c", "d", "e"]


def test_a_logger_in_use_is_configured_anew() -> None:
    program = "log.info('a'); configure_logs('other', 'INFO'); log.info('b')"
    assert [line["service"] for line in lines(program)] == ["demo", "other"]


def test_what_has_no_json_form_is_described() -> None:
    assert lines("log.info('x', what={1, })")[0]["what"] == "{1}"


def test_lines_of_many_threads_stay_whole() -> None:
    program = """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(8) as threads:
    list(threads.map(lambda n: log.info('x' * 3000, n=n), range(400)))
"""
    assert {line["n"] for line in lines(program)} == set(range(400))


def test_work_goes_on_when_nobody_reads_any_more() -> None:
    program = "import os, sys; r, w = os.pipe(); os.dup2(w, 2); os.close(r); os.close(w); log.info('x'); print('on')"
    command = [
        sys.executable,
        "-c",
        f"{CONFIGURED}configure_logs('demo', 'INFO')\n{program}; sys.stdout.flush(); os._exit(0)",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "on\n"

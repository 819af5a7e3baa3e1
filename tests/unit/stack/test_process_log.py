"""The report about a failed process has its first error since the start, not the crash that follows."""

from pathlib import Path

import pytest

from stack import process_log

RABBITMQ = """\
2026-11-26 11:50:50.4+00:00 [notice] <0.44.0> Application syslog exited with reason: stopped
2026-11-26 11:50:57.4+00:00 [error] <0.765.0> 
2026-11-26 11:50:57.4+00:00 [error] <0.765.0> BOOT FAILED
2026-11-26 11:50:57.4+00:00 [error] <0.765.0> ===========
2026-11-26 11:50:57.4+00:00 [error] <0.765.0> ERROR: could not bind to distribution port 16509 on host localhost.
2026-11-26 11:50:57.4+00:00 [error] <0.765.0> 
2026-11-26 11:50:57.4+00:00 [error] <0.762.0>     supervisor: {<0.762.0>,ranch_listener_sup}
{"init terminating in do_boot",{error,{dist_port_already_used,16509,not_erlang,"localhost"}}}
"""  # noqa: W291
SETTINGS = """\
Traceback (most recent call last):
  File "a.py", line 1, in <module>
    Settings()
pydantic_core._pydantic_core.ValidationError: 1 validation error for Settings
HOLD_SECONDS
  Input should be a valid number, unable to parse string as a number [type=float_parsing]
"""
CHAIN = """\
Traceback (most recent call last):
  File "a.py", line 1, in <module>
    connect()
psycopg2.OperationalError: connection refused

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "b.py", line 2, in <module>
sqlalchemy.exc.OperationalError: (psycopg2.OperationalError) connection refused
"""


@pytest.mark.parametrize(
    ("written", "first"),
    [
        (RABBITMQ, "ERROR: could not bind to distribution port 16509 on host localhost."),
        ("LOG:  starting\n2026 FATAL:  lock file exists\nHINT:  look\n", "2026 FATAL:  lock file exists"),
        ("creating\ninitdb: error: no room\ninitdb: removing data\n", "initdb: error: no room"),
        ("ERROR: Port 1, of Erlang's port mapper (epmd), is taken\n", "ERROR: Port 1, of Erlang's port mapper"),
        (SETTINGS, "ValidationError: 1 validation error for Settings HOLD_SECONDS Input should be a valid number"),
        (CHAIN, "psycopg2.OperationalError: connection refused"),
        (
            '{"event": "a", "level": "info"}\n{"event": "b", "level": "error", "exception": "Trace\\nKeyError: 1"}\n',
            "b: KeyError: 1",
        ),
    ],
)
def test_the_first_error_is_told(tmp_path: Path, written: str, first: str) -> None:
    log = tmp_path / "x.log"
    log.write_text(f"ERROR: of another life\n{process_log.MARK}now\n{written}")
    head, where, *_ = process_log.why(log).splitlines()
    assert head.startswith("Its first error: ")
    assert first in head
    assert where == f"From there on, in {log}:"


def test_what_it_wrote_before_it_was_started_again_is_not_shown(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("ERROR: of another life\n")
    process_log.mark_start(log)
    assert process_log.since_start(log) == []
    with log.open("a") as file:
        file.write("one\ntwo\n")
    assert process_log.last_line(log) == "two"
    assert process_log.why(log).splitlines() == [f"The last lines of {log}:", "  | one", "  | two"]


def test_one_that_wrote_nothing_is_said_to_have(tmp_path: Path) -> None:
    assert "(nothing yet)" in process_log.why(tmp_path / "none.log")

"""Reads what a process logged since its last start, and the first error in it, which usually causes the others."""

import json
import re
from datetime import datetime
from itertools import takewhile
from pathlib import Path
from textwrap import shorten

MARK = "=== started at "  # written before each requested start
LINES, WIDTH = 12, 160  # the part of a log that is shown
# Levels of RabbitMQ, PostgreSQL and this project; messages of programs (`initdb: error: …`); Python's errors.
_ERROR = re.compile(
    r"\[(?:error|critical|alert|emergency)\]"
    r"|\b(?:ERROR|FATAL|PANIC|CRITICAL):"
    r"|^[\w.-]+: (?:error|fatal|could not|cannot)\b"
    r'|"level": "(?:error|critical)"'
    r"|^Traceback \(most recent call last\):",
)
_EMPTY = re.compile(r"(?:.*\[\w+\] <[\d.]+>)?[\s=]*(?:BOOT FAILED)?\s*$")  # RabbitMQ's frame around its reason


def mark_start(log: Path) -> None:
    """Mark in the log that the process starts now."""
    with log.open("a") as file:
        file.write(f"{MARK}{datetime.now().astimezone().isoformat(timespec='seconds')}\n")


def since_start(log: Path) -> list[str]:
    """Return the lines since the last start of the process."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    marks = [number for number, line in enumerate(lines) if line.startswith(MARK)]
    return lines[marks[-1] + 1 :] if marks else lines


def last_line(log: Path) -> str:
    """Return its last line, shortened."""
    return shorten("".join(since_start(log)[-1:]), 150)


def why(log: Path) -> str:
    """Describe why a process failed: the log's name, and its first error with what follows, else its last lines."""
    lines = since_start(log)
    first = next((number for number, line in enumerate(lines) if _ERROR.search(line) and not _EMPTY.match(line)), None)
    if first is None:
        return _shown(f"The last lines of {log}:", lines[-LINES:] or ["(nothing yet)"])
    from_there = lines[first:]
    if from_there[0].startswith("Traceback"):  # the frames say less than what was raised
        raised = next((number for number, line in enumerate(from_there[1:], 1) if line[:1].strip()), 0)
        from_there = from_there[raised:]
    head = f"Its first error: {_error(from_there)}"
    return _shown(f"{head}\nFrom there on, in {log}:", from_there[:LINES])


def _error(lines: list[str]) -> str:
    """Return the error at the beginning of these lines, as one line; that of wrong settings names them below it."""
    if "ValidationError: " in lines[0]:
        return shorten(" ".join(takewhile(str.strip, lines)), 1000)
    try:
        entry = json.loads(lines[0])
    except ValueError:
        return lines[0].strip()
    raised = str(entry.get("exception", "")).strip().splitlines()[-1:]
    return ": ".join([str(entry.get("event", lines[0])), *raised])


def _shown(head: str, lines: list[str]) -> str:
    return "\n".join([head, *(f"  | {line[:WIDTH]}" for line in lines)])

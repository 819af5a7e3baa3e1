"""Runs audits while somebody looks at their page: one at a time, in a thread, with notes in this process's memory.

The first audit of a process examines all sagas, later ones those that changed.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import structlog
from pydantic import SecretStr

from shared.auditing.changes import Notes
from shared.auditing.check import check
from shared.auditing.findings import Findings
from shared.auditing.services import AuditUnreadable, Services

AGAIN_SECONDS = 5.0  # between two audits while somebody looks; one without news takes some 50 ms
log = structlog.get_logger()


@dataclass(frozen=True)
class Run:
    """A running audit: when it began, how many sagas it has examined, and of how many."""

    began: datetime
    examined: int = 0
    of: int = 0


@dataclass(frozen=True)
class Finished:
    """The latest completed audit. `since` says since when each rule has had its result in this process's audits."""

    findings: Findings
    at: datetime
    seconds: float
    since: dict[str, datetime]


@dataclass(frozen=True)
class Known:
    """The audits so far; `failure` is why the latest one was not completed, else empty."""

    running: Run | None = None
    finished: Finished | None = None
    failure: str = ""


class Auditor:
    """The audits of one process. Safe to use from many threads."""

    def __init__(self, services: Callable[[SecretStr | None], Services]) -> None:
        """`services` makes the services to audit, given a token that they accept."""
        self._services = services
        self._lock = threading.Lock()
        self._known = Known()
        self._notes = Notes()
        self._due = 0.0  # of `time.monotonic`

    def look(self, token: str, *, may_begin: bool = True) -> Known:
        """Return the audits so far. Begins one with this token if one is due and none is running."""
        with self._lock:
            if may_begin and self._known.running is None and time.monotonic() >= self._due:
                audit = threading.Thread(target=self._run, args=(token,), name="audit", daemon=True)
                audit.start()  # or it raises, and none is under way
                self._known = replace(self._known, running=Run(datetime.now(UTC)))
            return self._known

    def _run(self, token: str) -> None:
        began = time.monotonic()
        try:
            findings, notes = self._check(token)
        except AuditUnreadable as error:
            self._end(replace(self._known, running=None, failure=str(error)))
        except Exception:
            log.exception("audit failed")
            self._end(replace(self._known, running=None, failure="unexpected error; the dashboard's log says more"))
        else:
            self._notes = notes
            self._end(Known(finished=_finished(findings, self._known.finished, time.monotonic() - began)))

    def _check(self, token: str) -> tuple[Findings, Notes]:
        services = self._services(SecretStr(token) if token else None)
        return check(services, self._notes, examined_so_far=self._progress)

    def _progress(self, examined: int, of: int) -> None:
        with self._lock:
            if self._known.running is not None:
                running = replace(self._known.running, examined=examined, of=of)
                self._known = replace(self._known, running=running)

    def _end(self, known: Known) -> None:
        with self._lock:
            self._known = known
            self._due = time.monotonic() + AGAIN_SECONDS


def _finished(findings: Findings, before: Finished | None, seconds: float) -> Finished:
    now = datetime.now(UTC)
    broken = set(findings.broken)
    was_broken = set() if before is None else set(before.findings.broken)

    def since(rule: str) -> datetime:
        unchanged = before is not None and (rule in was_broken) == (rule in broken)
        return before.since[rule] if before is not None and unchanged else now

    return Finished(findings, now, seconds, {each.rule.name: since(each.rule.name) for each in findings.findings})

"""The books for people: every rule of the audit, whether it holds, and which sagas break it. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dashboard.auditor import Finished, Known
from dashboard.words import State, counted
from shared.auditing.check import RULES
from shared.auditing.findings import Finding, Findings
from shared.auditing.rules import Rule, SagaRule

LOOK_SECONDS = 2  # between two reloads of a page: half the time between two audits
SHOWN = 20  # broken sagas that a page names
# Results that are older may be out of date, so no rule is shown as holding. Ten times the time between two audits, so
# that a slow audit does not count as outdated.
STALE = timedelta(seconds=60)
NOT_KNOWN = "not known"


@dataclass(frozen=True)
class RuleRow:
    """One rule: whether it holds, what shows it, and the first ids of those that break it of `broken_by` in all.

    `since` is when its present result was first seen; None before its first audit.
    """

    rule: Rule | SagaRule
    state: State
    word: str
    figures: str
    ids: tuple[str, ...] = ()
    broken_by: int = 0
    since: datetime | None = None


@dataclass(frozen=True)
class BooksView:
    """All contents of the page. `read_at` and `seconds` are of the latest completed audit."""

    state: State
    title: str
    progress: str  # of the running audit; empty without one
    rows: tuple[RuleRow, ...]
    unchecked: Mapping[str, str]  # the first sagas that could not be judged, and why
    unchecked_number: int
    notes: tuple[str, ...]
    read_at: datetime | None
    seconds: float

    @property
    def topics(self) -> list[str]:
        """The topics of the rules, in order."""
        return list(dict.fromkeys(row.rule.topic for row in self.rows))


def books_of(known: Known, away: Sequence[str], now: datetime) -> BooksView:
    """Return what is known of the books while the services `away` cannot be reached."""
    finished, doubt = known.finished, _doubt(known, away, now)
    unchecked = {} if finished is None else finished.findings.unchecked
    rows = tuple(_unjudged(rule) for rule in RULES) if finished is None else _judged(finished, doubt)
    state, title = _title(finished, doubt, rows)
    return BooksView(
        state=state,
        title=title,
        progress=_progress(known),
        rows=rows,
        unchecked=dict(sorted(unchecked.items())[:SHOWN]),
        unchecked_number=len(unchecked),
        notes=() if finished is None else _notes(finished.findings),
        read_at=None if finished is None else finished.at,
        seconds=0.0 if finished is None else finished.seconds,
    )


def _doubt(known: Known, away: Sequence[str], now: datetime) -> str:
    """Say why the latest results may be out of date; empty when they are not."""
    if away:
        return f"{', '.join(away)} cannot be reached"
    if known.failure or known.finished is None:
        return known.failure
    return "nobody looked for a while; the books are being read again" if now - known.finished.at > STALE else ""


def _unjudged(rule: Rule | SagaRule) -> RuleRow:
    return RuleRow(rule, State.IDLE, NOT_KNOWN, "not audited yet")


def _judged(finished: Finished, doubt: str) -> tuple[RuleRow, ...]:
    return tuple(_row(each, finished.since[each.rule.name], doubt) for each in finished.findings.findings)


def _row(finding: Finding, since: datetime, doubt: str) -> RuleRow:
    rule, verdict = finding.rule, finding.verdict
    word = "broken" if finding.broken else "holds"
    figures = _of_sagas(finding) if isinstance(rule, SagaRule) else verdict.figures
    if doubt:
        return RuleRow(rule, State.IDLE, NOT_KNOWN, f"when it was read last: {word}; {figures}", since=since)
    state = State.FAILED if finding.broken else State.DONE
    return RuleRow(rule, state, word, figures, verdict.ids[:SHOWN], len(verdict.ids), since)


def _of_sagas(finding: Finding) -> str:
    number = len(finding.verdict.ids)
    return f"broken by {counted(number, 'saga')}" if number else "broken by no saga"


def _title(finished: Finished | None, doubt: str, rows: Sequence[RuleRow]) -> tuple[State, str]:
    if doubt:
        return State.IDLE, f"Not known: {doubt}"
    if finished is None:
        return State.RUNNING, "The first audit is under way"
    broken = [row.rule.name for row in rows if row.state is State.FAILED]
    if broken:
        return State.FAILED, f"Broken: {', '.join(broken)}"
    for_those = "" if not finished.findings.unchecked else " for the sagas that have ended"
    return State.DONE, f"All {counted(len(rows), 'rule')} hold{for_those}"


def _progress(known: Known) -> str:
    running = known.running
    if running is None or not running.of:
        return ""
    return f"{running.examined:,} of {counted(running.of, 'saga')} looked at"


def _notes(findings: Findings) -> tuple[str, ...]:
    """List the audit's other observations."""
    examined = findings.examined
    which = "all there are" if findings.full else "those that changed since the audit before, or were not in order then"
    notes = [f"{counted(examined.checked, 'saga')} checked: {which}"]
    if examined.by_hand:
        notes.append(f"{counted(len(examined.by_hand), 'saga')} made by hand, and sound")
    if examined.unkept:
        notes.append(f"{counted(len(examined.unkept), 'saga')} no longer kept by their saga service, and sound")
    return tuple(notes)

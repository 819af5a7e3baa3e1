"""The list of a saga's requests or events; consecutive failed requests for the same are folded into one row."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from dashboard.attempts import first_attempt, requests
from dashboard.story import Moment, Story
from dashboard.words import State, duration

SAID_APART = frozenset({"request", "response"})
FOLDED_FROM = 3  # equal requests in a row


@dataclass(frozen=True)
class Said:
    """A request to a service, or its answer, in a few words; its JSON, empty where it is not known."""

    name: str
    words: str
    body: str


@dataclass(frozen=True)
class Line:
    """One entry."""

    moment: Moment
    at: str
    took: str
    note: str  # the attempt's number, or the numbers of the attempts that it stands for
    detail: str
    fault: str  # the injected fault; empty without one
    said: list[Said]
    raw: str  # the entry's other fields as JSON, without nulls
    is_first_trouble: bool


@dataclass(frozen=True)
class Run:
    """Consecutive failed requests for the same."""

    lines: list[Line]
    took: str
    note: str
    detail: str
    is_first_trouble: bool

    @property
    def first(self) -> Line:
        """Its first line."""
        return self.lines[0]


def log(story: Story, trouble: Moment | None) -> list[Line | Run]:
    """Return lines and runs of lines, in order; `trouble` is the moment that the banner's link leads to."""
    rows: list[Line | Run] = []
    for run in _runs(story):
        lines = [_line(moment, is_first_trouble=moment is trouble) for moment in run]
        if len(run) < FOLDED_FROM:
            rows += lines
        else:
            rows.append(_folded(run, lines))
    return rows


def _runs(story: Story) -> Iterator[list[Moment]]:
    run: list[Moment] = []
    for moment in story.moments:
        lost = moment.state is State.UNANSWERED
        if run and not (lost and run[-1].state is State.UNANSWERED and run[-1].key == moment.key):
            yield run
            run = []
        run.append(moment)
    if run:
        yield run


def _folded(run: list[Moment], lines: list[Line]) -> Run:
    reasons: dict[str, int] = {}
    for moment in run:
        reason = moment.detail.partition(": ")[2] or moment.detail
        reasons[reason] = reasons.get(reason, 0) + 1
    last = run[-1].entry["attempt"]
    latest = ["of later attempts the latest is kept"] if run[-1].tries > 1 else []
    return Run(
        lines,
        took=duration(run[-1].end - run[0].start),
        note=f"{requests(run).of('request')}, attempts {first_attempt(run[0])} to {last}",
        detail=", ".join([*(f"{number} × {reason}" for reason, number in reasons.items()), *latest]),  # noqa: RUF001
        is_first_trouble=any(line.is_first_trouble for line in lines),
    )


def _line(moment: Moment, *, is_first_trouble: bool) -> Line:
    return Line(
        moment,
        at=f"+{duration(moment.start)}",
        took=duration(moment.end - moment.start) if moment.end > moment.start else "",
        note=_numbers(moment) if moment.kind == "attempt" else "",
        detail=moment.detail,
        fault=moment.fault,
        said=[*_said(moment)],
        raw=_json(
            {name: value for name, value in moment.entry.items() if value is not None and name not in SAID_APART}
        ),
        is_first_trouble=is_first_trouble,
    )


def _numbers(moment: Moment) -> str:
    last = moment.entry["attempt"]
    if moment.tries == 1:
        return f"attempt {last}"
    return f"attempts {first_attempt(moment)} to {last}, of which this is the latest"


def _said(moment: Moment) -> Iterator[Said]:
    request, response = (moment.entry.get(name) for name in ("request", "response"))
    if request is not None:
        sent = " ".join(filter(None, (request["method"], request["path"])))
        yield Said("Requested", request["event"] or sent, _json(request["body"]))
    if response is not None:
        status = None if response["status"] is None else f"status {response['status']}"
        body = "" if response["body"] is None else _json(response["body"])
        yield Said("Answered", response["event"] or status or "nothing", body)


def _json(value: object) -> str:
    return json.dumps(value, indent=1, default=str, ensure_ascii=False)

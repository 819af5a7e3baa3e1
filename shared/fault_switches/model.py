"""A fault: its name, the step that it happens to, and how often. No I/O.

Its notation is `STEP=NAME[:ARGUMENT][*TIMES]`; several are separated by commas:
`process_payment=lose_answer*2,create_order=slow:500`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from shared.errors import Unprocessable
from shared.saga.states import Direction

# The steps of a checkout, and what follows its pivot or its compensation.
STEPS = (
    "reserve_inventory",
    "process_payment",
    "create_order",
    "commit_inventory",
    "confirm_order",
    "release_cart",
)
REFUSABLE = STEPS[:3]  # the barrier stores no refusal of the pivot, and no step after it can be refused
UNDOABLE = STEPS[:4]
MAX_TIMES = 1000  # a larger number means always
MAX_MILLISECONDS = 30_000  # longer than any caller's time limit for a step
MAX_LENGTH = 200  # characters: a fault for each step
DEFAULT_MILLISECONDS = 1000
Kind = TypeVar("Kind", bound=StrEnum)
_ONE = re.compile(
    r"(?P<step>\w+)=(?P<name>\w+)(:((?P<milliseconds>\d+)|(?P<point>[a-z]+)))?(\*(?P<times>\d+))?",
    re.ASCII,
)


class FaultName(StrEnum):
    """What may happen to a step; see `docs/failures.md`."""

    REFUSE = "refuse"
    UNAVAILABLE = "unavailable"
    SLOW = "slow"
    LOSE_ANSWER = "lose_answer"
    FAIL_UNDO = "fail_undo"
    KILL = "kill"
    DELIVER_TWICE = "deliver_twice"
    DELAY_MESSAGE = "delay_message"
    PAUSE_CONSUMER = "pause_consumer"


OF_MESSAGES = frozenset({FaultName.DELIVER_TWICE, FaultName.DELAY_MESSAGE})  # the others are of steps
LATER = frozenset({FaultName.SLOW, FaultName.DELAY_MESSAGE})
BEFORE = "injected_before"  # the member of an answer's body that names faults that no answer reported
UNTOLD = frozenset({FaultName.LOSE_ANSWER, FaultName.KILL})  # no answer can report these


class KillPoint(StrEnum):
    """When a process is killed: before the step, or after its commit and before its answer."""

    BEFORE = "before"
    AFTER = "after"


def direction_of(name: FaultName) -> Direction:
    """Return whether faults of this name happen to a step's action or to its compensation."""
    return Direction.COMPENSATION if name is FaultName.FAIL_UNDO else Direction.ACTION


class InvalidFault(Unprocessable):
    """Not a fault that can be injected."""


@dataclass(frozen=True)
class Fault:
    """A failure of one step; `times` counts for each saga, None means always. `match` are fields that a request needs.

    `pause_consumer` has no step: the name is empty. Raises `InvalidFault` for an impossible combination.
    """

    step: str
    name: FaultName
    times: int | None = 1
    milliseconds: int | None = None
    point: KillPoint | None = None
    match: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check(self)

    @property
    def direction(self) -> Direction:
        """Whether the fault happens to the step's action or to its compensation."""
        return direction_of(self.name)

    @property
    def seconds(self) -> float:
        """The delay in seconds."""
        return (DEFAULT_MILLISECONDS if self.milliseconds is None else self.milliseconds) / 1000

    @property
    def prevents(self) -> bool:
        """Whether the fault prevents the step, which may be requested again."""
        if self.name is FaultName.KILL:
            return self.point is KillPoint.BEFORE
        return self.name in {FaultName.UNAVAILABLE, FaultName.FAIL_UNDO}


def parse(text: str) -> tuple[Fault, ...]:
    """Parse the notation above; raises `InvalidFault`."""
    if len(text) > MAX_LENGTH:
        raise InvalidFault(f"longer than {MAX_LENGTH} characters", field="X-Fault")
    return tuple(_parse_one(each.strip()) for each in text.split(","))


def _parse_one(text: str) -> Fault:
    match = _ONE.fullmatch(text)
    if match is None:
        raise InvalidFault(f"{text!r} is not STEP=NAME[:ARGUMENT][*TIMES]", field="X-Fault")
    values: dict[str, Any] = match.groupdict()
    return Fault(
        step=values["step"],
        name=_named(FaultName, values["name"], "name"),
        times=int(values["times"] or 1),
        milliseconds=None if values["milliseconds"] is None else int(values["milliseconds"]),
        point=None if values["point"] is None else _named(KillPoint, values["point"], "point"),
    )


def _named(kind: type[Kind], text: str, what: str) -> Kind:
    if text not in set(kind):
        raise InvalidFault(f"{text!r} is none of {', '.join(kind)}", field=what)
    return kind(text)


def _check(fault: Fault) -> None:
    """Raise `InvalidFault`, with the name of the field, for an impossible combination."""
    _check_step(fault)
    if fault.times is not None and not 1 <= fault.times <= MAX_TIMES:
        raise InvalidFault(f"times is from 1 to {MAX_TIMES}", field="times")
    if fault.name is FaultName.REFUSE and fault.times not in {1, None}:
        raise InvalidFault("a refusal is for ever: it has no times", field="times")
    if fault.name is FaultName.DELAY_MESSAGE and fault.times is None:
        raise InvalidFault("a message that is always put off never comes: say how many times", field="times")
    if fault.milliseconds is not None and fault.name not in LATER:
        raise InvalidFault(f"{fault.name} takes no milliseconds", field="milliseconds")
    if fault.milliseconds is not None and not 1 <= fault.milliseconds <= MAX_MILLISECONDS:
        raise InvalidFault(f"milliseconds are from 1 to {MAX_MILLISECONDS}", field="milliseconds")
    if fault.point is not None and fault.name is not FaultName.KILL:
        raise InvalidFault(f"{fault.name} takes no point", field="point")


def _check_step(fault: Fault) -> None:
    if fault.name is FaultName.PAUSE_CONSUMER:
        if fault.step or fault.times is not None or fault.match:
            raise InvalidFault("pause_consumer is of all messages, until it is lifted", field="step")
        return
    steps = {FaultName.REFUSE: REFUSABLE, FaultName.FAIL_UNDO: UNDOABLE}.get(fault.name, STEPS)
    if fault.step not in steps:
        raise InvalidFault(f"{fault.name} is for one of {', '.join(steps)}, not {fault.step!r}", field="step")

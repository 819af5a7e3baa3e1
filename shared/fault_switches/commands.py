"""Faults of the commands in `POST /saga-commands`. Each fault happens to its own command only.

The other commands of the request are answered as always, but later when one is slow, and not at all when one kills the
process.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import structlog
from flask import g

from shared.fault_switches.header import faults_of
from shared.fault_switches.http import die_if
from shared.fault_switches.injector import Injected, Injector, prevention, problem
from shared.fault_switches.model import FaultName, KillPoint
from shared.fault_switches.steps import Half, StepRequest, step_request
from shared.http.answers import PlainOutcome

EXTENSION = "command_faults"  # the app's extension that holds its `CommandFaults`
log = structlog.get_logger()


class CommandLike(Protocol):
    """A command: a body for the path of a step."""

    @property
    def path(self) -> str:
        """The path of the step's own endpoint."""

    @property
    def body(self) -> dict[str, Any]:
        """The body for it."""

    @property
    def fault(self) -> str | None:
        """The faults of its saga, as `X-Fault`."""


CommandT = TypeVar("CommandT", bound=CommandLike)
Run = Callable[[Sequence[CommandT]], Sequence[PlainOutcome]]


class CommandFaults:
    """The faults of one service's commands."""

    def __init__(self, injector: Injector, endpoints: Mapping[str, Half]) -> None:
        """`endpoints` are the path templates of the service's steps."""
        self._injector = injector
        self._patterns = [(_pattern(template), half) for template, half in endpoints.items()]

    def run(self, run: Run[CommandT], commands: Sequence[CommandT]) -> Sequence[PlainOutcome]:
        """Return an outcome for each command, in order; `run` runs those that no fault prevents."""
        injected = self._plan(commands)
        for each in injected:
            die_if(each, KillPoint.BEFORE)
        time.sleep(max((_seconds(each) for each in injected), default=0.0))
        outcomes = {
            number: _refused(prevention(each.prevented)) for number, each in enumerate(injected) if each.prevented
        }
        rest = [number for number in range(len(commands)) if number not in outcomes]
        outcomes |= _run(run, {number: commands[number] for number in rest})
        for each in injected:
            die_if(each, KillPoint.AFTER)
        return [_told(outcomes[number], each) for number, each in enumerate(injected)]

    def _plan(self, commands: Sequence[CommandLike]) -> list[Injected]:
        planned = self._injector.plan([self._request(each) for each in commands])
        for command, each in zip(commands, planned, strict=True):
            if each.faults:
                log.warning("injected", faults=each.names, path=command.path)
        return planned

    def _request(self, command: CommandLike) -> StepRequest | None:
        half = next((half for pattern, half in self._patterns if pattern.fullmatch(command.path)), None)
        return None if half is None else step_request(half, command.body, faults_of(command.fault))


def _run(run: Run[CommandT], commands: Mapping[int, CommandT]) -> dict[int, PlainOutcome]:
    """Run the commands; one with faults of its own runs alone, so that the saga that it begins gets only those."""
    outcomes: dict[int, PlainOutcome] = {}
    together = [number for number, command in commands.items() if command.fault is None]
    if together:
        outcomes |= zip(together, run([commands[number] for number in together]), strict=True)
    for number in commands.keys() - set(together):
        g.fault = commands[number].fault
        [outcomes[number]] = run([commands[number]])
        del g.fault
    return outcomes


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{\w+\}", "[^/]+", template))


def _seconds(injected: Injected) -> float:
    """Return the delay in seconds; commands of one request are delayed together."""
    slow = injected.get(FaultName.SLOW)
    return 0.0 if slow is None else slow.seconds


def _told(outcome: PlainOutcome, injected: Injected) -> PlainOutcome:
    """Change the outcome of a command as its faults demand; one whose answer is lost is in doubt."""
    if injected.get(FaultName.LOSE_ANSWER) is not None:
        return _refused(problem(504, "the answer was lost on purpose", FaultName.LOSE_ANSWER))
    return {**outcome, "body": injected.marked(outcome["body"])}


def _refused(told: Mapping[str, Any]) -> PlainOutcome:
    return {"status": told["status"], "body": told}

"""Faults of the commands in `POST /saga-commands`: each suffers its own, and its neighbours don't."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import structlog

from shared.fault_switches.http import die_if
from shared.fault_switches.injector import NOTHING, Injected, Injector, prevention, problem
from shared.fault_switches.model import FaultName, KillPoint
from shared.fault_switches.steps import Half, StepRequest, step_request

Outcome = Mapping[str, Any]  # `status` and `body`
EXTENSION = "command_faults"  # where an app that suffers faults has them
log = structlog.get_logger()


class CommandLike(Protocol):
    """What would be posted to a path."""

    @property
    def path(self) -> str:
        """Of the step's own endpoint."""

    @property
    def body(self) -> dict[str, Any]:
        """What would be posted there."""


CommandT = TypeVar("CommandT", bound=CommandLike)
Run = Callable[[Sequence[CommandT]], Sequence[Outcome]]


class CommandFaults:
    """The faults of one service's commands."""

    def __init__(self, injector: Injector, endpoints: Mapping[str, Half]) -> None:
        """`endpoints`: the paths of the service's steps, with names in braces for ids."""
        self._injector = injector
        self._patterns = [(_pattern(template), half) for template, half in endpoints.items()]

    def run(self, run: Run[CommandT], commands: Sequence[CommandT]) -> Sequence[Outcome]:
        """An outcome for each command, in order; `run` is asked for those that nothing prevents."""
        injected = self._plan(commands)
        for each in injected:
            die_if(each, KillPoint.BEFORE)
        time.sleep(max((_seconds(each) for each in injected), default=0.0))
        outcomes = {
            number: _refused(prevention(each.prevented)) for number, each in enumerate(injected) if each.prevented
        }
        rest = [number for number in range(len(commands)) if number not in outcomes]
        if rest:
            outcomes |= zip(rest, run([commands[number] for number in rest]), strict=True)
        for each in injected:
            die_if(each, KillPoint.AFTER)
        return [_told(outcomes[number], each) for number, each in enumerate(injected)]

    def _plan(self, commands: Sequence[CommandLike]) -> list[Injected]:
        requests = {number: found for number, each in enumerate(commands) if (found := self._request(each)) is not None}
        planned = dict(zip(requests, self._injector.plan(list(requests.values())), strict=True)) if requests else {}
        for number, each in planned.items():
            if each.faults:
                log.warning("injected", faults=each.names, path=commands[number].path)
        return [planned.get(number, NOTHING) for number in range(len(commands))]

    def _request(self, command: CommandLike) -> StepRequest | None:
        half = next((half for pattern, half in self._patterns if pattern.fullmatch(command.path)), None)
        return None if half is None else step_request(half, command.body)


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{\w+\}", "[^/]+", template))


def _seconds(injected: Injected) -> float:
    """How much later; those that go together wait together."""
    slow = injected.get(FaultName.SLOW)
    return 0.0 if slow is None else slow.seconds


def _told(outcome: Outcome, injected: Injected) -> Outcome:
    """What is said of a command that was done; one whose answer is lost may have been, for all that is known."""
    if injected.get(FaultName.LOSE_ANSWER) is not None:
        return _refused(problem(504, "the answer was lost on purpose", FaultName.LOSE_ANSWER))
    if not injected.faults or "injected" in outcome["body"]:
        return outcome
    return {**outcome, "body": {**outcome["body"], "injected": injected.names}}


def _refused(told: Mapping[str, Any]) -> Outcome:
    return {"status": told["status"], "body": told}

"""Runs the commands of one request; each has the outcome that it would have alone."""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import structlog
from pydantic import Field, ValidationError

from shared import telemetry, trace
from shared.batching.partition import partition_unique
from shared.database.connections import is_unavailable
from shared.errors import DomainError, NotFound
from shared.fault_switches.model import MAX_LENGTH
from shared.http.answers import HttpOutcome, PlainOutcome, body_of, http_problem, invalid_problem, problem_of
from shared.http.schemas import Body, Text
from shared.saga.commands import CommandRequest, Commands, StepEndpoint

log = structlog.get_logger()


class UnknownCommand(NotFound):
    """Not a command of this service."""


class CommandIn(Body):
    """A command: the path and the body of a request to its own endpoint.

    `fault` stands for the header `X-Fault`, `traceparent` for the one of that name.
    """

    path: Text = Field(max_length=200)
    body: dict[str, Any]
    fault: Annotated[Text, Field(max_length=MAX_LENGTH)] | None = None
    traceparent: Annotated[Text, Field(max_length=55)] | None = None


@dataclass(frozen=True)
class _Parsed:
    number: int  # in the request
    endpoint: StepEndpoint
    command: CommandRequest[Any, Any]
    trace: str | None

    def key(self) -> Hashable:
        return self.endpoint.key(self.command)


def run(commands: Commands, requests: Sequence[CommandIn]) -> list[PlainOutcome]:
    """Run the commands; return their outcomes in order. Raises only what affects all, such as a missing database."""
    outcomes: dict[int, PlainOutcome] = {}
    accepted = defaultdict[str, list[_Parsed]](list)
    for number, request in enumerate(requests):
        try:
            parsed = _parse(commands, number, request)
        except ValidationError as error:
            outcomes[number] = _refused(invalid_problem(error))
        except UnknownCommand as error:
            outcomes[number] = _refused(problem_of(error))
        else:
            accepted[parsed.endpoint.template].append(parsed)
    for of_endpoint in accepted.values():
        for batch in partition_unique(of_endpoint, _Parsed.key):
            with _traced(batch) as spans:
                found = _run_batch(batch[0].endpoint, [each.command for each in batch])
                for span, outcome in zip(spans, found, strict=False):  # none when they are not recorded
                    span.tell({"http.response.status_code": outcome["status"]})
                    span.end(str(outcome["status"]) if outcome["status"] >= 500 else None)
            outcomes |= {each.number: outcome for each, outcome in zip(batch, found, strict=True)}
    return [outcomes[number] for number in range(len(requests))]


@contextmanager
def _traced(batch: Sequence[_Parsed]) -> Iterator[Sequence[telemetry.Span]]:
    """A span for each of these commands, in the trace of its saga, with a link to the request that brought them all.

    The block ends them; those that it did not, since it raised, end as failed.
    """
    if not telemetry.enabled():
        yield ()
        return
    name, links = f"POST {batch[0].endpoint.template}", [telemetry.current()]
    spans = [telemetry.begin(name, "SERVER", trace.valid(each.trace) or telemetry.ROOT, links) for each in batch]
    with telemetry.ending(*spans):
        yield spans


def _parse(commands: Commands, number: int, request: CommandIn) -> _Parsed:
    for endpoint in commands.endpoints:
        match = endpoint.pattern.fullmatch(request.path)
        if match is not None:
            path = endpoint.path.model_validate(match.groupdict())
            return _Parsed(
                number, endpoint, CommandRequest(endpoint.body.model_validate(request.body), path), request.traceparent
            )
    raise UnknownCommand(f"{request.path} is no command of {commands.service}", path=request.path)


def _run_batch(endpoint: StepEndpoint, commands: Sequence[CommandRequest[Any, Any]]) -> Sequence[PlainOutcome]:
    """Run commands in one transaction; if that fails, each in its own, so that none fails because of another."""
    if len(commands) > 1:
        try:
            return [_plain(outcome) for outcome in endpoint.run(commands)]
        except Exception as error:
            if is_unavailable(error):
                raise
            log.warning("commands failed together", count=len(commands), error=str(error))
    return [_run_alone(endpoint, command) for command in commands]


def _run_alone(endpoint: StepEndpoint, command: CommandRequest[Any, Any]) -> PlainOutcome:
    try:
        [outcome] = endpoint.run([command])
        return _plain(outcome)
    except DomainError as error:
        return _plain(error)
    except Exception as error:
        if is_unavailable(error):
            raise
        log.exception("unexpected error", command=type(command.body).__name__)
        return _refused(http_problem(500, "unexpected error; see the service's log"))


def _plain(outcome: HttpOutcome) -> PlainOutcome:
    if isinstance(outcome, DomainError):
        return _refused(problem_of(outcome))
    return {"status": outcome.status, "body": body_of(outcome)}


def _refused(problem: Mapping[str, Any]) -> PlainOutcome:
    return {"status": problem["status"], "body": problem}

"""`POST /saga-commands`: what many sagas ask of a service, in one request, each as if it had come alone.

A service registers the list use case of each of its steps once, and serves the step's own endpoint with the same
function. The commands of one endpoint share a transaction; those of two never do, so that locks are always taken in
one order.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

import structlog
from flask import Response, current_app
from flask_openapi import APIBlueprint
from pydantic import BaseModel, Field, ValidationError
from sqlalchemy import Connection

from shared.batching.partition import partition_unique
from shared.database.connections import Database, is_unavailable
from shared.errors import DomainError, NotFound
from shared.fault_switches.commands import EXTENSION, CommandFaults
from shared.fault_switches.model import MAX_LENGTH
from shared.http.access import services_only
from shared.http.answers import Answer, Outcome, body_of, http_problem, invalid_problem, problem_of, respond
from shared.http.schemas import Body, NoBody, Text, View
from shared.saga.standing import MayBeCompensated, compensated

MAX_COMMANDS = 100  # in one request: beyond this nothing is saved, and others wait longer
BodyModel = TypeVar("BodyModel", bound=BaseModel)
PathModel = TypeVar("PathModel", bound=BaseModel)
NO_IDS = NoBody()
log = structlog.get_logger()


class UnknownCommand(NotFound):
    """Not a command of this service."""


class CommandIn(Body):
    """What would be posted to this path, had it come alone; `fault` would be its `X-Fault`."""

    path: Text = Field(max_length=200, examples=["/path/of/a/command"])
    body: dict[str, Any]
    fault: Annotated[Text, Field(max_length=MAX_LENGTH)] | None = None


class CommandsIn(Body):
    """Commands that do not depend on each other: they are done in any order."""

    commands: list[CommandIn] = Field(min_length=1, max_length=MAX_COMMANDS)


class OutcomeOut(View):
    """What the command's own endpoint would answer."""

    status: int
    body: dict[str, Any]


class OutcomesOut(View):
    """One for each command, in their order."""

    outcomes: list[OutcomeOut]


@dataclass(frozen=True)
class Command(Generic[BodyModel, PathModel]):
    """What is asked of an endpoint: the body, and the ids in its path."""

    body: BodyModel
    path: PathModel = NO_IDS  # type: ignore[assignment]


UseCase = Callable[[Connection, Sequence[Command[BodyModel, PathModel]]], Sequence[Outcome]]
# As above; the third are the sagas of which it is known that what they did may be undone.
Undo = Callable[[Connection, Sequence[Command[BodyModel, PathModel]], Collection[UUID]], Sequence[Outcome]]
Run = Callable[[Sequence[Command[Any, Any]]], Sequence[Outcome]]  # in its own transaction


@dataclass(frozen=True)
class _Endpoint:
    template: str
    pattern: re.Pattern[str]
    body: type[BaseModel]
    path: type[BaseModel]
    key: Callable[[Command[Any, Any]], Hashable]
    run: Run


@dataclass(frozen=True)
class _Asked:
    number: int  # in the request
    endpoint: _Endpoint
    command: Command[Any, Any]

    def key(self) -> Hashable:
        return self.endpoint.key(self.command)


class Commands:
    """The commands of one service."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._endpoints: list[_Endpoint] = []

    def register(
        self,
        template: str,
        body: type[BodyModel],
        path: type[PathModel] = NoBody,  # type: ignore[assignment]
        *,
        key: Callable[[Command[BodyModel, PathModel]], Hashable],
    ) -> Callable[[UseCase[BodyModel, PathModel]], UseCase[BodyModel, PathModel]]:
        """The use case behind the endpoint with this path, such as `/orders/{order_id}/cancel`.

        It is given commands of which no two have the same key (their saga), and returns an outcome for each.
        """

        def registered(use_case: UseCase[BodyModel, PathModel]) -> UseCase[BodyModel, PathModel]:
            self._add(template, body, path, key, partial(self._in_transaction, use_case))
            return use_case

        return registered

    def register_compensation(
        self,
        template: str,
        body: type[BodyModel],
        path: type[PathModel] = NoBody,  # type: ignore[assignment]
        *,
        key: Callable[[Command[BodyModel, PathModel]], Hashable],
        may_be_compensated: MayBeCompensated,
    ) -> Callable[[Undo[BodyModel, PathModel]], Run]:
        """As `register`, for what undoes a step; the function becomes one that runs it (see `standing.py`)."""

        def registered(undo: Undo[BodyModel, PathModel]) -> Run:
            def run(asked: Sequence[Command[BodyModel, PathModel]]) -> Sequence[Outcome]:
                return compensated(asked, partial(self._in_transaction, undo), may_be_compensated)

            self._add(template, body, path, key, run)
            return run

        return registered

    def _in_transaction(self, use_case: Callable[..., Sequence[Outcome]], *arguments: Any) -> Sequence[Outcome]:
        with self._db.transaction() as connection:
            return use_case(connection, *arguments)

    def _add(
        self,
        template: str,
        body: type[BaseModel],
        path: type[BaseModel],
        key: Callable[[Command[Any, Any]], Hashable],
        run: Run,
    ) -> None:
        pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template))
        self._endpoints.append(_Endpoint(template, pattern, body, path, key, run))

    @property
    def templates(self) -> list[str]:
        """The paths of the endpoints."""
        return [endpoint.template for endpoint in self._endpoints]

    def run(self, asked: Sequence[CommandIn]) -> list[Mapping[str, Any]]:
        """An outcome for each, in order; raises only what keeps all from being done, as a database that is away."""
        outcomes: dict[int, Mapping[str, Any]] = {}
        fitting = defaultdict[_Endpoint, list[_Asked]](list)
        for number, each in enumerate(asked):
            try:
                command = self._parse(number, each)
            except ValidationError as error:
                outcomes[number] = _refused(invalid_problem(error))
            except UnknownCommand as error:
                outcomes[number] = _refused(problem_of(error))
            else:
                fitting[command.endpoint].append(command)
        for endpoint, of_endpoint in fitting.items():
            for together in partition_unique(of_endpoint, _Asked.key):
                found = self._together(endpoint.run, [one.command for one in together])
                outcomes |= {one.number: outcome for one, outcome in zip(together, found, strict=True)}
        return [outcomes[number] for number in range(len(asked))]

    def _parse(self, number: int, asked: CommandIn) -> _Asked:
        for endpoint in self._endpoints:
            match = endpoint.pattern.fullmatch(asked.path)
            if match is not None:
                path = endpoint.path.model_validate(match.groupdict())
                return _Asked(number, endpoint, Command(endpoint.body.model_validate(asked.body), path))
        raise UnknownCommand(f"{asked.path} is no command of {self._db.service}", path=asked.path)

    def _together(self, run: Run, commands: Sequence[Command[Any, Any]]) -> Sequence[Mapping[str, Any]]:
        """In one transaction; should that fail, each in one of its own, so that none fails for another's reasons."""
        if len(commands) > 1:
            try:
                return [_plain(outcome) for outcome in run(commands)]
            except Exception as error:
                if is_unavailable(error):
                    raise
                log.warning("commands failed together", count=len(commands), error=str(error))
        return [self._alone(run, command) for command in commands]

    def _alone(self, run: Run, command: Command[Any, Any]) -> Mapping[str, Any]:
        try:
            [outcome] = run([command])
            return _plain(outcome)
        except DomainError as error:
            return _plain(error)
        except Exception as error:
            if is_unavailable(error):
                raise
            log.exception("unexpected error", command=type(command.body).__name__)
            return _refused(http_problem(500, "unexpected error; see the service's log"))


def _plain(outcome: Outcome) -> Mapping[str, Any]:
    if isinstance(outcome, DomainError):
        return _refused(problem_of(outcome))
    return {"status": outcome.status, "body": body_of(outcome)}


def _refused(problem: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"status": problem["status"], "body": problem}


def command_routes(commands: Commands) -> APIBlueprint:
    """`POST /saga-commands` for these commands."""
    routes = APIBlueprint("saga_commands", __name__)
    description = (
        "Each has the path and the body that its own endpoint takes, and that endpoint's answer. One that is refused,"
        f" or does not fit, touches no other. May be repeated. Paths: {', '.join(commands.templates)}."
    )

    @routes.post(
        "/saga-commands", summary="Do what many sagas ask for", description=description, responses={200: OutcomesOut}
    )
    @services_only
    def do_commands(body: CommandsIn) -> Response:
        faults: CommandFaults | None = current_app.extensions.get(EXTENSION)
        run = commands.run if faults is None else partial(faults.run, commands.run)
        return respond(Answer({"outcomes": run(body.commands)}))

    return routes

"""The commands of one service: what sagas request of it, each registered once.

A registration names the path, the bodies and a use case that takes many commands. From it follow the step's own
endpoint and its place in `POST /saga-commands` (`command_routes.py`), so that both answer alike. Commands of one
endpoint share a transaction; commands of two endpoints never do, so that locks are always taken in one order.
"""

import re
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar
from uuid import UUID

from flask import Response
from pydantic import BaseModel
from sqlalchemy import Connection

from shared.database.connections import Database
from shared.errors import DomainError
from shared.http.answers import Answer, HttpOutcome, respond, value_or_raise
from shared.http.idempotency import answer, answer_once
from shared.http.schemas import NoBody
from shared.saga.barrier import Done
from shared.saga.standing import MayBeCompensated, compensated

BodyModel = TypeVar("BodyModel", bound=BaseModel)
PathModel = TypeVar("PathModel", bound=BaseModel)
T = TypeVar("T")
NO_IDS = NoBody()


@dataclass(frozen=True)
class CommandRequest(Generic[BodyModel, PathModel]):
    """A request to a step's endpoint: its body, and the ids in its path."""

    body: BodyModel
    path: PathModel = NO_IDS  # type: ignore[assignment]


@dataclass(frozen=True)
class Idempotency:
    """How an endpoint takes an `Idempotency-Key`."""

    any_path: bool = False  # the key belongs to the endpoint, and not to its path
    keep_refusals: bool = True  # a refusal is stored under its key, as a success is


UseCase = Callable[[Connection, Sequence[CommandRequest[BodyModel, PathModel]]], Sequence[HttpOutcome]]
# The third argument names the sagas whose steps are known to be compensatable now.
Compensation = Callable[
    [Connection, Sequence[CommandRequest[BodyModel, PathModel]], Collection[UUID]], Sequence[HttpOutcome]
]
KeyFunction = Callable[[CommandRequest[BodyModel, PathModel]], Hashable]


@dataclass(frozen=True, kw_only=True)
class StepEndpoint:
    """The endpoint of a step or of a compensation."""

    template: str  # its path, with names in braces for ids
    pattern: re.Pattern[str]  # of such paths; its groups are the ids
    body: type[BaseModel]
    path: type[BaseModel]
    key: KeyFunction[Any, Any]  # no two commands of one call of `run` have the same
    name: str
    summary: str
    description: str
    responses: Mapping[Any, Any]
    idempotency: Idempotency | None
    run: Callable[
        [Sequence[CommandRequest[Any, Any]]], Sequence[HttpOutcome]
    ]  # many commands, in their own transaction
    answer: Callable[[CommandRequest[Any, Any]], Response]  # one command, as its own HTTP request


class Commands:
    """The commands of one service."""

    def __init__(self, db: Database) -> None:
        self.service = db.service
        self._db = db
        self.endpoints: list[StepEndpoint] = []

    def action(  # noqa: PLR0913  (keywords that describe one endpoint)
        self,
        template: str,
        body: type[BodyModel],
        path: type[PathModel] = NoBody,  # type: ignore[assignment]
        *,
        key: KeyFunction[BodyModel, PathModel],
        summary: str = "",
        responses: Mapping[Any, Any] | None = None,
        idempotency: Idempotency | None = None,
    ) -> Callable[[UseCase[BodyModel, PathModel]], UseCase[BodyModel, PathModel]]:
        """Register the use case behind the endpoint with this path, such as `/orders/{order_id}/confirm`.

        The use case gets commands of which no two have the same key (their saga), and returns an outcome for each.
        Summary, responses and the use case's docstring describe the endpoint in the OpenAPI document.
        """

        def register(use_case: UseCase[BodyModel, PathModel]) -> UseCase[BodyModel, PathModel]:
            run = partial(self._in_transaction, use_case)
            answer_alone = partial(self._answer, use_case, idempotency)
            described = {"summary": summary, "responses": responses or {}, "idempotency": idempotency}
            self._add(use_case, template, body, path, key=key, run=run, answer=answer_alone, **described)
            return use_case

        return register

    def compensation(  # noqa: PLR0913  (as above)
        self,
        template: str,
        body: type[BodyModel],
        path: type[PathModel] = NoBody,  # type: ignore[assignment]
        *,
        key: KeyFunction[BodyModel, PathModel],
        may_be_compensated: MayBeCompensated,
        summary: str = "",
        responses: Mapping[Any, Any] | None = None,
    ) -> Callable[[Compensation[BodyModel, PathModel]], Compensation[BodyModel, PathModel]]:
        """As `action`, for a compensation, which `standing.compensated` runs."""

        def register(compensation: Compensation[BodyModel, PathModel]) -> Compensation[BodyModel, PathModel]:
            def run(commands: Sequence[CommandRequest[BodyModel, PathModel]]) -> Sequence[HttpOutcome]:
                return compensated(commands, partial(self._in_transaction, compensation), may_be_compensated)

            def answer_alone(command: CommandRequest[BodyModel, PathModel]) -> Response:
                [outcome] = run([command])
                return respond(outcome)

            described = {"summary": summary, "responses": responses or {}, "idempotency": None}
            self._add(compensation, template, body, path, key=key, run=run, answer=answer_alone, **described)
            return compensation

        return register

    @property
    def templates(self) -> list[str]:
        """The paths of the endpoints."""
        return [endpoint.template for endpoint in self.endpoints]

    def _in_transaction(self, use_case: Callable[..., Sequence[HttpOutcome]], *arguments: Any) -> Sequence[HttpOutcome]:
        with self._db.transaction() as connection:
            return use_case(connection, *arguments)

    def _answer(
        self, use_case: UseCase[Any, Any], idempotency: Idempotency | None, command: CommandRequest[Any, Any]
    ) -> Response:
        def act(connection: Connection) -> HttpOutcome:
            [outcome] = use_case(connection, [command])
            return outcome if idempotency is None or idempotency.keep_refusals else value_or_raise(outcome)

        if idempotency is None:
            return answer(self._db, act)
        return answer_once(self._db, act, any_path=idempotency.any_path)

    def _add(
        self, function: Callable[..., Any], template: str, body: type[BaseModel], path: type[BaseModel], **rest: Any
    ) -> None:
        pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template))
        named: dict[str, Any] = {"template": template, "pattern": pattern, "name": function.__name__}
        named |= {"body": body, "path": path, "description": function.__doc__ or ""}
        self.endpoints.append(StepEndpoint(**named, **rest))


def answers(
    outcomes: Sequence[Done[T] | DomainError], view: Callable[[T], BaseModel], status: int = 200
) -> list[HttpOutcome]:
    """Make HTTP outcomes of a step's outcomes: an answer with the `view` of each result, and refusals as they are."""
    return [each if isinstance(each, DomainError) else Answer(view(each.value), status) for each in outcomes]

"""Many commands in one request: each has the outcome that it would have alone, and they share transactions."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast
from uuid import UUID

import psycopg2
import pytest
from sqlalchemy import Connection

from shared.database.connections import Database
from shared.errors import Conflict, Unavailable
from shared.http.answers import Answer, HttpOutcome
from shared.http.schemas import Body, NoBody
from shared.ids import new_id
from shared.saga.command_batch import CommandIn, run
from shared.saga.commands import CommandRequest, Commands


class Full(Conflict):
    """A refusal: there is no space."""


class Shelf:
    """A database that records what was put on it, by transaction."""

    service = "shelf"

    def __init__(self) -> None:
        self.committed: list[list[str]] = []

    @contextmanager
    def transaction(self) -> Iterator[list[str]]:
        connection: list[str] = []
        yield connection
        self.committed.append(connection)


class PutIn(Body):
    saga: str
    what: str = "book"


class TakePath(Body):
    thing_id: UUID


Put = CommandRequest[PutIn, NoBody]
Take = CommandRequest[NoBody, TakePath]


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def commands(shelf: Shelf) -> Commands:
    commands = Commands(cast("Database", shelf))

    @commands.action("/things/put", PutIn, key=lambda command: command.body.saga)
    def put(connection: Connection, commands: Sequence[Put]) -> list[HttpOutcome]:
        assert len({command.body.saga for command in commands}) == len(commands)
        return [_put(connection, command.body) for command in commands]

    @commands.action("/things/{thing_id}/take", NoBody, TakePath, key=lambda command: command.path)
    def take(connection: Connection, commands: Sequence[Take]) -> list[HttpOutcome]:
        for command in commands:
            cast("list[str]", connection).append(f"take {command.path.thing_id}")
        return [Answer({"taken": command.path.thing_id}) for command in commands]

    return commands


def _put(connection: Connection, body: PutIn) -> HttpOutcome:
    if body.what == "piano":
        return Full("too large", saga=body.saga)
    if body.what == "ghost":
        raise RuntimeError(body.what)
    if body.what == "later":
        raise Unavailable("come again")
    if body.what == "lightning":
        raise psycopg2.OperationalError("server closed the connection")
    cast("list[str]", connection).append(f"put {body.saga} {body.what}")
    return Answer({"saga": body.saga}, 201)


def put(saga: str, what: str = "book") -> CommandIn:
    return CommandIn(path="/things/put", body={"saga": saga, "what": what})


def take(thing_id: object) -> CommandIn:
    return CommandIn(path=f"/things/{thing_id}/take", body={})


def done(saga: str) -> dict[str, Any]:
    return {"status": 201, "body": {"saga": saga}}


def statuses(outcomes: Sequence[Any]) -> list[int]:
    return [outcome["status"] for outcome in outcomes]


def test_outcomes_come_in_the_order_of_the_commands(commands: Commands) -> None:
    thing, other = new_id(), new_id()
    outcomes = run(commands, [put("a"), take(thing), put("b"), take(other)])
    taken = [{"status": 200, "body": {"taken": each}} for each in (thing, other)]
    assert outcomes == [done("a"), taken[0], done("b"), taken[1]]


def test_commands_of_one_endpoint_share_a_transaction_and_those_of_two_do_not(commands: Commands, shelf: Shelf) -> None:
    thing = new_id()
    run(commands, [put("a"), take(thing), put("b")])
    assert shelf.committed == [["put a book", "put b book"], [f"take {thing}"]]


def test_the_commands_of_one_saga_are_done_one_after_the_other(commands: Commands, shelf: Shelf) -> None:
    assert run(commands, [put("a", "pen"), put("b"), put("a", "ink")]) == [done("a"), done("b"), done("a")]
    assert shelf.committed == [["put a pen", "put b book"], ["put a ink"]]


def test_a_refusal_touches_no_other_command(commands: Commands, shelf: Shelf) -> None:
    refused, accepted = run(commands, [put("a", "piano"), put("b")])
    assert refused["status"] == refused["body"]["status"] == 409
    assert (refused["body"]["type"], refused["body"]["saga"]) == ("/problems/full", "a")
    assert accepted == done("b")
    assert shelf.committed == [["put b book"]]


def test_what_does_not_fit_is_told_of_each_command_alone(commands: Commands) -> None:
    bad_body = CommandIn(path="/things/put", body={"sage": "a"})
    outcomes = run(commands, [bad_body, take("no-id"), put("b")])
    assert statuses(outcomes) == [422, 422, 201]
    fields = [[error["field"] for error in outcome["body"]["errors"]] for outcome in outcomes[:2]]
    assert fields == [["saga", "sage"], ["thing_id"]]


@pytest.mark.parametrize("path", ["/things", "/things/put/", "/things/1/2/take", "things/put", ""])
def test_a_path_that_is_no_command_is_not_found(commands: Commands, path: str) -> None:
    unknown, known = run(commands, [CommandIn(path=path, body={"saga": "a"}), put("b")])
    assert (unknown["status"], unknown["body"]["type"]) == (404, "/problems/unknown-command")
    assert known == done("b")


def test_when_a_transaction_fails_its_commands_are_tried_one_by_one(commands: Commands, shelf: Shelf) -> None:
    outcomes = run(commands, [put("a"), put("b", "ghost"), put("c", "piano"), put("d", "later"), put("e")])
    assert statuses(outcomes) == [201, 500, 409, 503, 201]
    assert outcomes[1]["body"]["type"] == "/problems/internal-server-error"
    assert shelf.committed == [["put a book"], [], ["put e book"]]


@pytest.mark.parametrize("number", [1, 2])
def test_without_its_database_a_service_answers_for_none(commands: Commands, shelf: Shelf, number: int) -> None:
    with pytest.raises(psycopg2.OperationalError):
        run(commands, [put(str(each), "lightning") for each in range(number)])
    assert shelf.committed == []

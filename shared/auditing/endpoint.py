"""`/audit` of every service: its books, the log of changed sagas, and its facts about given sagas.

An auditor reads which sagas changed since its last audit, and compares the facts of all services about each of them.
These endpoints only read; each auditor keeps its own notes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from flask import Response
from flask_openapi import APIBlueprint
from pydantic import Field
from sqlalchemy import ARRAY, Connection, TextClause, Uuid, bindparam, text

from shared.auditing.log import NIL, AuditLog
from shared.database.connections import Database
from shared.http.access import services_or_admin
from shared.http.answers import Answer, respond
from shared.http.schemas import Body, View

MOST_CHANGES = 10_000  # ids in one answer, which has four hundred kilobytes then
MOST_FACTS = 2_000  # sagas in one request, which takes tens of milliseconds then
AUDIT_SECONDS = 60  # time limit of an audit's statement, which may read whole tables
_OBJECT = {"description": "OK", "content": {"application/json": {"schema": {"type": "object"}}}}


@dataclass(frozen=True)
class Audit:
    """What a service shows an auditor: its totals, the ids of all its sagas, and its facts about given sagas."""

    log: AuditLog
    books: Callable[[Connection], Mapping[str, Any]]
    saga_ids: str  # a statement: the first `limit` ids after the id `after`
    facts: TextClause  # a statement: one row for each saga of `ids`


class ChangesQuery(Body):
    """Where to continue reading: after this saga of this transaction. Without both, only the position is returned."""

    xid: int | None = Field(None, ge=0, le=2**63 - 1)
    saga_id: UUID = NIL
    limit: int = Field(MOST_CHANGES, ge=1, le=MOST_CHANGES)


class PositionOut(View):
    """Where to continue reading."""

    xid: int
    saga_id: UUID


class ChangesOut(View):
    """Sagas that changed.

    Read the next page from `more`, if present; the next audit continues from `next_xid`. A position before `begins` is
    too old: changes after it may have been deleted.
    """

    place: str
    begins: int
    next_xid: int
    saga_ids: list[UUID]
    more: PositionOut | None


class IdsQuery(Body):
    """A page of ids."""

    after: UUID = NIL
    limit: int = Field(MOST_CHANGES, ge=1, le=MOST_CHANGES)


class IdsOut(View):
    """Ids of sagas, in order."""

    saga_ids: list[UUID]


class FactsIn(Body):
    """The sagas whose facts to return."""

    saga_ids: list[UUID] = Field(min_length=1, max_length=MOST_FACTS)


def facts_statement(sql: str) -> TextClause:
    """Make a statement with the parameter `ids`, an array."""
    return text(sql).bindparams(bindparam("ids", type_=ARRAY(Uuid)))


def audit_routes(db: Database, audit: Audit) -> APIBlueprint:
    """Create the routes of a service's audit; each answers from one snapshot.

    Answers are serialized after their transaction, which PostgreSQL would end if it were idle meanwhile.
    """
    routes = APIBlueprint("audit", __name__, url_prefix="/audit")

    @routes.get("", summary="Totals that let anyone check the books from outside", responses={200: _OBJECT})
    @services_or_admin
    def books() -> Response:
        with _snapshot(db) as connection:
            found = audit.books(connection)
        return respond(Answer(found))

    @routes.get("/changes", summary="The sagas that changed since", responses={200: ChangesOut})
    @services_or_admin
    def changes(query: ChangesQuery) -> Response:
        with _snapshot(db) as connection:
            found = audit.log.changes(connection, query.xid, query.saga_id, query.limit)
        more = None if found.last is None else {"xid": found.last[0], "saga_id": found.last[1]}
        body = {"place": found.place, "begins": found.begins, "next_xid": found.next_xid, "saga_ids": found.saga_ids}
        return respond(Answer({**body, "more": more}))

    @routes.get("/sagas", summary="The ids of all sagas", responses={200: IdsOut})
    @services_or_admin
    def saga_ids(query: IdsQuery) -> Response:
        with _snapshot(db) as connection:
            page = connection.scalars(text(audit.saga_ids), {"after": query.after, "limit": query.limit}).all()
        return respond(Answer({"saga_ids": page}))

    @routes.post("/facts", summary="What is known of these sagas; changes nothing", responses={200: _OBJECT})
    @services_or_admin
    def facts(body: FactsIn) -> Response:
        with _snapshot(db) as connection:
            known = facts_of(connection, audit, body.saga_ids)
        return respond(Answer({"facts": known}))

    return routes


def facts_of(connection: Connection, audit: Audit, saga_ids: Sequence[UUID]) -> list[dict[str, Any]]:
    """Return the facts about each of these sagas that the service knows."""
    return [dict(row) for row in connection.execute(audit.facts, {"ids": list(saga_ids)}).mappings()]


@contextmanager
def _snapshot(db: Database) -> Iterator[Connection]:
    with db.transaction(AUDIT_SECONDS) as connection:
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield connection

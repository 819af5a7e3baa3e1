"""`Idempotency-Key`: the answer is stored in the transaction of the effect, and returned to repetitions.

Follows the IETF draft "The Idempotency-Key HTTP Header Field": the same key with another body is 422, a key whose
first request still runs is 409. The draft wants a quoted string; the bare form is accepted, too.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Response, request
from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    Index,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    func,
    insert,
    select,
)

from shared.database.connections import Database
from shared.errors import Conflict, InDoubt, Unavailable, Unprocessable
from shared.http.answers import HttpOutcome, respond, respond_stored

_KEY = re.compile(r'"([\x21\x23-\x5b\x5d-\x7e]{1,200})"|([\x21\x23-\x5b\x5d-\x7e]{1,200})')


class KeyReused(Unprocessable):
    """The idempotency key was used for another request."""


class KeyInUse(Conflict):
    """A request with this idempotency key is still running."""


class InvalidKey(Unprocessable):
    """The Idempotency-Key header is not a string of 1 to 200 visible characters."""


@dataclass(frozen=True)
class Served:
    """A response, and the outcome that it was made of; None for a repetition, whose response was stored."""

    response: Response
    outcome: HttpOutcome | None


def keys_table(metadata: MetaData) -> Table:
    """Define the table of the answers that a service gave under keys."""
    return Table(
        "idempotency_keys",
        metadata,
        Column("key", String(200), primary_key=True),
        Column("endpoint", String(200), primary_key=True),
        Column("fingerprint", String(64), nullable=False),
        Column("status", Integer, nullable=False),
        Column("location", Text),
        Column("body", Text, nullable=False),
        Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        Index(None, "created_at"),
    )


def answer(db: Database, use_case: Callable[[Connection], HttpOutcome]) -> Response:
    """Run the use case in one transaction and answer. A returned refusal commits; a raised error rolls back."""
    with db.transaction() as connection:
        outcome = use_case(connection)
    return respond(outcome)


def answer_once(db: Database, use_case: Callable[[Connection], HttpOutcome], *, any_path: bool = False) -> Response:
    """As `answer`, but at most once for each key: repetitions get the stored answer. 503 and 504 are not stored.

    A key belongs to its path. With `any_path` it belongs to the endpoint, and another path counts as another body.
    """
    return serve_once(db, use_case, any_path=any_path).response


def serve_once(db: Database, use_case: Callable[[Connection], HttpOutcome], *, any_path: bool = False) -> Served:
    """As `answer_once`, for callers that go on with the outcome."""
    key = request_key()
    with db.transaction() as connection:
        if key is not None:
            endpoint = _endpoint(str(request.url_rule) if any_path else request.path)
            return _under_key(connection, _keys(db), key, use_case, endpoint)
        outcome = use_case(connection)
    return Served(respond(outcome), outcome)


def answered_before(db: Database) -> Response | None:
    """Return the stored answer to this request, if any: for use cases that first have to call another service."""
    key = request_key()
    if key is None:
        return None
    with db.transaction() as connection:
        return _stored(connection, _keys(db), key, _endpoint(request.path))


def request_key() -> str | None:
    """Return the request's key without quotes; None when it has none."""
    header = request.headers.get("Idempotency-Key")
    if header is None:
        return None
    match = _KEY.fullmatch(header)
    if match is None:
        raise InvalidKey("must be a string of 1 to 200 visible characters", header="Idempotency-Key")
    return match[1] or match[2]


def _keys(db: Database) -> Table:
    return db.metadata.tables[f"{db.service}.idempotency_keys"]


def _endpoint(path: str) -> str:
    return f"{request.method} {path}"[:200]


def _fingerprint() -> str:
    return hashlib.sha256(request.path.encode() + b"\0" + request.get_data()).hexdigest()


def _stored(connection: Connection, keys: Table, key: str, endpoint: str) -> Response | None:
    """Return the answer stored under the key; raises `KeyReused` when it belongs to another request."""
    stored: Row[Any] | None = connection.execute(
        select(keys).where(keys.c.key == key, keys.c.endpoint == endpoint)
    ).first()
    if stored is None:
        return None
    if stored.fingerprint != _fingerprint():
        raise KeyReused("this key came with another body before", idempotency_key=key)
    return respond_stored(stored.status, stored.body, stored.location)


def _under_key(
    connection: Connection, keys: Table, key: str, use_case: Callable[[Connection], HttpOutcome], endpoint: str
) -> Served:
    lock = func.pg_try_advisory_xact_lock(func.hashtextextended(f"{endpoint} {key}", 0))
    if not connection.scalar(select(lock)):
        raise KeyInUse("a request with this key is still running", idempotency_key=key)
    if (before := _stored(connection, keys, key, endpoint)) is not None:
        return Served(before, None)
    outcome = use_case(connection)
    if isinstance(outcome, Unavailable | InDoubt):
        raise outcome  # not stored
    response = respond(outcome)
    connection.execute(
        insert(keys).values(
            key=key,
            endpoint=endpoint,
            fingerprint=_fingerprint(),
            status=response.status_code,
            location=response.headers.get("Location"),
            body=response.get_data(as_text=True),
        )
    )
    return Served(response, outcome)

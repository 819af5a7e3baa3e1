"""HTTP answers: successes, and RFC 9457 problems for everything else."""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeVar

from flask import Request, Response
from gunicorn.http.errors import ParseException
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnprocessableEntity, UnsupportedMediaType

from shared.errors import (
    Conflict,
    DomainError,
    InDoubt,
    NotFound,
    PaymentRequired,
    Refusal,
    RepeatedRefusal,
    Unavailable,
    Unprocessable,
    Unsupported,
)
from shared.json_codec import body as json_body
from shared.json_codec import loads_request

PROBLEM = "application/problem+json"
KEPT_HEADERS = frozenset({"Allow", "Location", "Retry-After", "WWW-Authenticate"})  # of an error that Werkzeug raises
RETRY_AFTER_SECONDS = "1"  # a dependency that restarts may be back then

# The one table of status codes; the nearest class wins.
STATUS: Mapping[type[DomainError], int] = {
    NotFound: 404,
    Conflict: 409,
    Refusal: 409,
    PaymentRequired: 402,
    Unprocessable: 422,
    Unsupported: 501,
    Unavailable: 503,
    InDoubt: 504,
    DomainError: 500,
}


@dataclass(frozen=True)
class Answer:
    """A success: a body (a model, or a plain mapping), its status and its own headers."""

    body: BaseModel | Mapping[str, Any]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


HttpOutcome = Answer | DomainError  # what a use case returns over HTTP
PlainOutcome = Mapping[str, Any]  # the same as plain data: `status` and `body`
T = TypeVar("T")


def respond(outcome: HttpOutcome) -> Response:
    """Make a response of an answer or a domain error."""
    if isinstance(outcome, DomainError):
        return respond_problem(outcome)
    return Response(json_body(body_of(outcome)), outcome.status, dict(outcome.headers), mimetype="application/json")


def value_or_raise(outcome: T | DomainError) -> T:
    """Return the outcome, or raise it when it is an error: for a refusal that must roll back and is not stored."""
    if isinstance(outcome, DomainError):
        raise outcome
    return outcome


def body_of(answer: Answer) -> Mapping[str, Any]:
    """Return the body of an answer as a mapping."""
    return answer.body.model_dump(mode="python") if isinstance(answer.body, BaseModel) else answer.body


def respond_stored(status: int, body: str, location: str | None) -> Response:
    """Make a response of a stored one."""
    headers = {} if location is None else {"Location": location}
    return Response(body, status, headers, mimetype=PROBLEM if status >= 400 else "application/json")


def respond_problem(error: DomainError) -> Response:
    """Make a problem+json response of a domain error."""
    return problem_response(problem_of(error))


def problem_response(problem: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """Make a response of a problem; 503 and 504 get a Retry-After header."""
    later = {"Retry-After": RETRY_AFTER_SECONDS} if problem["status"] in {503, 504} else {}
    return Response(json_body(problem), problem["status"], {**later, **(headers or {})}, mimetype=PROBLEM)


def problem_of(error: DomainError) -> dict[str, Any]:
    """Describe a domain error: type and title come from its class, detail and further members from the error."""
    if isinstance(error, RepeatedRefusal):
        return dict(error.problem)
    kind = type(error)
    status = next(STATUS[base] for base in kind.__mro__ if base in STATUS)
    title = (kind.__doc__ or kind.__name__).strip().splitlines()[0].rstrip(".")
    return problem_body(_slug(kind.__name__), title, status, error.detail, **error.fields)


def problem_body(kind: str, title: str, status: int, detail: str, **fields: Any) -> dict[str, Any]:
    """Build a problem document: the members of RFC 9457, then the given fields."""
    return {"type": f"/problems/{kind}", "title": title, "status": status, "detail": detail, **fields}


def http_problem(status: int, detail: str, **fields: Any) -> dict[str, Any]:
    """Describe an HTTP status that has no domain error."""
    phrase = HTTPStatus(status).phrase
    return problem_body(phrase.lower().replace(" ", "-"), phrase, status, detail, **fields)


def invalid_fields(error: ValidationError) -> Response:
    """Make the 422 response to a body that failed validation."""
    return problem_response(invalid_problem(error))


def invalid_problem(error: ValidationError) -> dict[str, Any]:
    """Describe a failed validation: every invalid field with its reason."""
    errors = [
        {"field": ".".join(str(part) for part in each["loc"]) or "body", "detail": each["msg"]}
        for each in error.errors(include_url=False, include_input=False, include_context=False)
    ]
    names = ", ".join(each["field"] for each in errors)
    return http_problem(422, f"does not fit: {names}", errors=errors)


class JsonRequest(Request):
    """A request whose body is a JSON object; a missing body counts as an empty object."""

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:
        """Parse the body. Malformed JSON is 400, too large 413, another content type 415, another JSON value 422."""
        del force, silent, cache
        raw = self._received()
        if self.content_length is None and len(raw) >= (self.max_content_length or sys.maxsize):
            raise RequestEntityTooLarge  # a chunked body is cut off at the limit
        if len(raw) < (self.content_length or 0):
            raise BadRequest("the body is shorter than its Content-Length")
        if not raw:
            return {}
        if not self.is_json:
            raise UnsupportedMediaType("the body must be application/json")
        try:
            body = loads_request(raw)
        except ValueError as error:
            raise BadRequest(f"malformed JSON: {error}") from error
        if not isinstance(body, dict):
            raise UnprocessableEntity("the body must be a JSON object")
        return body

    def _received(self) -> bytes:
        try:
            return self.get_data()
        except ParseException as error:
            raise BadRequest(f"malformed body: {error}") from error


def _slug(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()

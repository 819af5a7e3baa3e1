"""Errors become problems with the right status."""

from uuid import UUID

import pytest
from flask import Response

from shared import errors
from shared.errors import DomainError, RepeatedRefusal
from shared.http.answers import (
    PROBLEM,
    STATUS,
    Answer,
    http_problem,
    problem_of,
    respond,
    respond_problem,
    respond_stored,
)
from shared.http.server import refusal
from shared.json_codec import loads


class OutOfPaper(errors.Conflict):
    """There is no paper left.

    Nobody knows why.
    """


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.NotFound, 404),
        (errors.Conflict, 409),
        (errors.Refusal, 409),
        (errors.PaymentRequired, 402),
        (errors.Unprocessable, 422),
        (errors.Unavailable, 503),
        (errors.Unsupported, 501),
        (DomainError, 500),
    ],
)
def test_each_kind_of_error_has_its_status(error: type[DomainError], status: int) -> None:
    assert problem_of(error("why"))["status"] == status
    assert error in STATUS


def test_a_problem_is_named_after_its_class_and_titled_by_its_docstring() -> None:
    assert problem_of(OutOfPaper("tray 2", tray=2)) == {
        "type": "/problems/out-of-paper",
        "title": "There is no paper left",
        "status": 409,
        "detail": "tray 2",
        "tray": 2,
    }


def test_a_repeated_refusal_is_the_first_one_word_for_word() -> None:
    first = problem_of(errors.PaymentRequired("declined", reason="card"))
    assert problem_of(RepeatedRefusal(first)) == first


def test_what_is_only_unavailable_says_when_to_come_back() -> None:
    assert respond_problem(errors.Unavailable("busy")).headers["Retry-After"] == "1"
    assert "Retry-After" not in respond_problem(errors.Conflict("no")).headers


def test_a_problem_has_the_content_type_of_problems() -> None:
    response = respond_problem(errors.NotFound("nothing", saga_id=UUID(int=1)))
    assert (response.mimetype, response.status_code) == (PROBLEM, 404)
    assert loads(response.get_data())["saga_id"] == "00000000-0000-0000-0000-000000000001"


def test_an_answer_has_its_status_and_headers() -> None:
    response = respond(Answer({"id": 1}, 201, {"Location": "/things/1"}))
    assert (response.status_code, response.mimetype, response.headers["Location"]) == (
        201,
        "application/json",
        "/things/1",
    )


@pytest.mark.parametrize("response", [respond(Answer({"id": 1})), respond_problem(errors.NotFound("nothing"))])
def test_what_is_sent_as_json_ends_with_a_newline(response: Response) -> None:
    assert response.get_data(as_text=True).endswith("}\n")


def test_a_request_that_is_no_http_is_refused_with_a_newline_at_the_end_too() -> None:
    assert refusal(400, "no request").endswith(b"}\n")


@pytest.mark.parametrize(("status", "mimetype"), [(201, "application/json"), (402, PROBLEM)])
def test_a_stored_answer_is_given_as_it_was(status: int, mimetype: str) -> None:
    response = respond_stored(status, '{"a":1}', None)
    assert (response.status_code, response.mimetype, response.get_data(as_text=True)) == (status, mimetype, '{"a":1}')


def test_a_bare_status_is_a_problem_too() -> None:
    assert http_problem(405, "no")["type"] == "/problems/method-not-allowed"

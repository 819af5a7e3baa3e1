"""What each SQLSTATE means: "not now", "no", or that a commit is in doubt."""

import psycopg2
import pytest
from psycopg2 import errors
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from shared.database.sqlstate import CommitInDoubt, is_held_up, is_unavailable, leaves_doubt

# fmt: off
LATER = ["08006", "25006", "25P03", "25P04", "40001", "40P01", "53100", "53200", "53300", "55P03", "57014", "57P01",
         "57P02", "57P03", "57P04", "57P05", "58030", "58P01"]
NEVER = ["0A000", "22001", "22P02", "23505", "23514", "25P02", "26000", "42501", "42601", "42P01", "42703", "54000",
         "54001", "P0001", "XX000", "XX001"]
# fmt: on


class Said(psycopg2.Error):
    """The driver's error, with the code that the server sent."""

    def __init__(self, code: str | None) -> None:
        super().__init__("?")
        self.code = code

    @property
    def pgcode(self) -> str | None:  # type: ignore[override]
        return self.code


def wrapped(error: BaseException) -> DBAPIError:
    return DBAPIError("COMMIT", None, error)


@pytest.mark.parametrize("code", LATER)
def test_what_may_succeed_later_is_not_now(code: str) -> None:
    assert is_unavailable(Said(code))
    assert is_unavailable(wrapped(Said(code)))


@pytest.mark.parametrize("code", NEVER)
def test_what_is_the_statements_own_fault_is_no(code: str) -> None:
    """Whatever class the driver has for it: a too long index row is an operational error to the driver, too."""
    assert not is_unavailable(Said(code))
    assert not is_unavailable(wrapped(Said(code)))


def test_a_server_that_could_not_be_reached_is_not_there_now() -> None:
    assert is_unavailable(psycopg2.OperationalError("connection refused"))
    assert is_unavailable(wrapped(psycopg2.OperationalError("server closed the connection unexpectedly")))
    assert is_unavailable(wrapped(psycopg2.InterfaceError("connection already closed")))
    assert is_unavailable(PoolTimeout("no connection in time"))
    assert is_unavailable(CommitInDoubt("?"))


def test_what_no_database_said_is_not_its_fault() -> None:
    assert not is_unavailable(ValueError("?"))
    assert not is_unavailable(wrapped(psycopg2.ProgrammingError("can't adapt type")))


@pytest.mark.parametrize("code", [None, "08006", "08007", "40003", "57P01", "57P02", "58030"])
def test_a_commit_is_in_doubt_when_nobody_said_that_it_was_undone(code: str | None) -> None:
    said = Said(code) if code else psycopg2.OperationalError("server closed the connection unexpectedly")
    assert leaves_doubt(wrapped(said))


@pytest.mark.parametrize("code", ["25006", "40001", "40P01", "53100", "57014", "23503", "P0001"])
def test_a_commit_that_the_server_refused_is_undone(code: str) -> None:
    assert not leaves_doubt(wrapped(Said(code)))


def test_the_driver_has_a_class_for_each_that_is_told_by_its_code_alone() -> None:
    """The driver's classes would not do: these two are siblings of errors with the opposite meaning."""
    assert not issubclass(errors.ReadOnlySqlTransaction, psycopg2.OperationalError)
    assert issubclass(errors.ProgramLimitExceeded, psycopg2.OperationalError)


@pytest.mark.parametrize("code", LATER)
def test_what_concerns_the_rows_of_a_statement_is_told_from_what_concerns_the_server(code: str) -> None:
    assert is_held_up(wrapped(Said(code))) == (code in {"40001", "40P01", "55P03", "57014"})


@pytest.mark.parametrize("code", [None, "40003", *NEVER])
def test_nothing_else_is_said_to_concern_rows(code: str | None) -> None:
    assert not is_held_up(wrapped(Said(code)))

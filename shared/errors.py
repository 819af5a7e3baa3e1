"""The exception tree of the domain; status codes are given to it at the edge (`shared/http/answers.py`)."""

from collections.abc import Mapping
from typing import Any


class DomainError(Exception):
    """Something a service refuses to do. The first line of the docstring is its public title."""

    def __init__(self, detail: str, **fields: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.fields: Mapping[str, Any] = fields


class NotFound(DomainError):
    """No such thing."""


class Conflict(DomainError):
    """The state of things does not allow it."""


class Unprocessable(DomainError):
    """The request is well formed but makes no sense."""


class Unavailable(DomainError):
    """Not now; nothing was done, so try again."""


class InDoubt(DomainError):
    """It may have been done; ask again, under the same Idempotency-Key."""


class Unsupported(DomainError):
    """Not something that can be done here."""


class Refusal(DomainError):
    """A definite no that is stored: use cases return it and do not raise it, so that its transaction commits."""


class PaymentRequired(Refusal):
    """The payment was refused."""


class RepeatedRefusal(Refusal):
    """A refusal given once before, word for word."""

    def __init__(self, problem: Mapping[str, Any]) -> None:
        super().__init__(problem["detail"])
        self.problem = problem

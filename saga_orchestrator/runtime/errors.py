"""What a saga's operators are refused with."""

from shared.errors import Conflict, NotFound


class SagaNotFound(NotFound):
    """No such saga."""


class SagaEnded(Conflict):
    """The saga has ended."""

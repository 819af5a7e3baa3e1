"""What both saga services refuse requests with."""

from uuid import UUID

from shared.errors import Conflict, NotFound


class SagaNotFound(NotFound):
    """No such saga."""

    def __init__(self, saga_id: UUID) -> None:
        super().__init__(f"there is no saga {saga_id}", saga_id=saga_id)


class SagaEnded(Conflict):
    """The saga has ended."""

    def __init__(self, saga_id: UUID, status: str) -> None:
        super().__init__(f"saga {saga_id} is {status}", saga_id=saga_id, saga_status=status)


class SagaOfAnotherCheckout(Conflict):
    """The saga is about another checkout."""

    def __init__(self, saga_id: UUID) -> None:
        super().__init__(f"saga {saga_id} is about another checkout", saga_id=saga_id)

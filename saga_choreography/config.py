"""Settings of the choreography; each lifetime is here, with its reason."""

from functools import cached_property

from pydantic import Field

from saga_choreography.domain import Limits
from shared.config import DatabaseUrl, SagaServiceSettings, ServiceUrl, database_url


class Settings(SagaServiceSettings):
    """Times are in seconds."""

    database_url: DatabaseUrl = database_url("saga_choreography")
    carrito_service_url: ServiceUrl = "http://127.0.0.1:3000"

    forward_deadline_seconds: float = Field(
        default=60, gt=0
    )  # a shopper waits no longer; well within a hold's lifetime
    stuck_seconds: float = Field(default=120, gt=0)  # as long as the orchestrator tries before it flags a saga
    resend_seconds: float = Field(
        default=30, gt=0
    )  # half a deadline, so that a lost event is sent again before its saga is turned back

    @cached_property
    def limits(self) -> Limits:
        """The time limits of the watchdog."""
        return Limits(self.forward_deadline_seconds, self.stuck_seconds, self.resend_seconds)

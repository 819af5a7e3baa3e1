"""One attempt at a command."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from saga_orchestrator.runtime.active_saga import ActiveSaga
from saga_orchestrator.runtime.definition import Request
from saga_orchestrator.runtime.participants import CommandReply
from saga_orchestrator.runtime.state import Command, Outcome, Unknown
from shared.saga.states import Direction

log = structlog.get_logger()


@dataclass(eq=False)
class CommandAttempt:
    """An attempt at a saga's command: a few requests in quick succession."""

    saga: ActiveSaga
    command: Command
    request: Request = field(init=False)
    outcome: Outcome = field(init=False)

    @property
    def point(self) -> str:
        """The step and the direction, as crash points name them."""
        return f"{self.command.step}.{self.command.direction}"

    @property
    def in_doubt(self) -> bool:
        """Whether the outcome of the latest request is unknown."""
        return isinstance(self.outcome, Unknown)

    def build_request(self) -> bool:
        """Build the request; return False if that raises: a defect of the definition, which becomes the outcome."""
        step = self.saga.definition[self.command.step]
        endpoint = step.action if self.command.direction is Direction.ACTION else step.compensation
        try:
            if endpoint is None:
                raise LookupError(f"{step.name} has no compensation")
            self.request = endpoint.request(self.saga.lease.saga)
        except Exception as error:
            log.exception("no request", saga_id=self.saga.saga_id, step=self.command.step)
            self.record(datetime.now(UTC), CommandReply(Unknown(f"internal error: {type(error).__name__}")))
            return False
        return True

    def record(self, started_at: datetime, reply: CommandReply) -> None:
        """Set the outcome of a request, and add the request to the saga's timeline."""
        self.outcome = reply.outcome
        self.saga.record_request(self.command, started_at, reply)

"""One attempt at a command."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import structlog

from saga_orchestrator.runtime.active_saga import STYLE, ActiveSaga, name_of
from saga_orchestrator.runtime.definition import Request
from saga_orchestrator.runtime.participants import CommandReply
from saga_orchestrator.runtime.state import Command, Outcome, Succeeded, Unknown
from shared import metrics, telemetry
from shared.saga.states import Direction

log = structlog.get_logger()


@dataclass(eq=False)
class CommandAttempt:
    """An attempt at a saga's command: a few requests in quick succession."""

    saga: ActiveSaga
    command: Command
    request: Request = field(init=False)
    outcome: Outcome = field(init=False)
    _span: telemetry.Span = field(init=False, default=telemetry.NOT_RECORDED)

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

    def traced_request(self) -> Request:
        """Begin the span of one request for the command; return the request with the span's context."""
        if not telemetry.enabled():
            return self.request
        told = {"saga.id": self.saga.saga_id, "saga.step": self.command.step, "saga.direction": self.command.direction}
        parent = self.saga.lease.saga.trace or telemetry.ROOT
        self._span = telemetry.begin(
            f"{self.command.step} {self.command.direction}", "INTERNAL", parent, attributes=told
        )
        return replace(self.request, trace=self._span.traceparent)

    def record(self, started_at: datetime, reply: CommandReply) -> None:
        """Set the outcome of a request, and add the request to the saga's timeline."""
        self.outcome = reply.outcome
        self._span.tell({"saga.outcome": name_of(reply.outcome)})
        self._span.end(None if isinstance(reply.outcome, Succeeded) else reply.outcome.error)
        if reply.together is not None:  # a request was made
            seconds = (datetime.now(UTC) - started_at).total_seconds()
            at = metrics.Step(STYLE, self.request.service, self.command.step, self.command.direction)
            metrics.step_attempted(at, name_of(reply.outcome), seconds)
        self.saga.record_request(self.command, started_at, reply)

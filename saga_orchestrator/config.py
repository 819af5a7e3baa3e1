"""Settings of the orchestrator."""

from typing import Literal, Self

from pydantic import Field, model_validator

from saga_orchestrator.orchestrator import VERSIONS
from saga_orchestrator.runtime.settings import RuntimeSettings, service_urls
from shared.config import DatabaseUrl, database_url


class Settings(RuntimeSettings, service_urls(VERSIONS.services)):  # type: ignore[misc]
    """Settings of the runtime, a `<SERVICE>_SERVICE_URL` for each participant, and these. Times are in seconds."""

    database_url: DatabaseUrl = database_url("saga_orchestrator")
    saga_engine: Literal["builtin", "temporal"] = "builtin"  # which engine runs new sagas; each ends on its first one
    temporal_address: str = ""  # host:port of Temporal; with it, workers run the sagas that began there
    temporal_namespace: str = "default"
    temporal_task_queue: str = "checkout-sagas"
    temporal_build_id: str = ""  # with it, a saga continues in workers of the build in which it began
    # A worker that sends no heartbeat for so long while it runs an activity, or a workflow task, counts as gone.
    temporal_heartbeat_seconds: float = Field(default=3, gt=0)
    temporal_history_events: int = Field(default=2000, ge=50)  # of one run; Temporal allows 51,200

    @model_validator(mode="after")
    def _temporal_has_an_address(self) -> Self:
        if self.saga_engine == "temporal" and not self.temporal_address:
            raise ValueError("SAGA_ENGINE=temporal needs TEMPORAL_ADDRESS")
        return self

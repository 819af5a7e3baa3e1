"""Settings of the runtime; each lifetime and limit is here, with its reason. Times are in seconds."""

from collections.abc import Iterable
from typing import Any

from pydantic import Field, create_model

from saga_orchestrator.runtime.definition import Service
from shared.config import DatabaseUrl, SagaServiceSettings, ServiceSettings, ServiceUrl

EXECUTOR_CONNECTIONS = 3  # the most that an executor uses at the same time: for claims, checkpoints and lease renewal


class RuntimeSettings(SagaServiceSettings):
    """Settings that web processes and executors read."""

    database_url: DatabaseUrl
    forward_deadline_seconds: float = Field(
        default=60, gt=0
    )  # a shopper waits no longer; well within a hold's lifetime
    call_seconds: float = Field(default=5, gt=0)  # ten times the slowest answer under full load
    tries_per_attempt: int = Field(default=3, ge=1)  # a dropped connection, or a short restart
    retry_first_seconds: float = Field(default=0.2, gt=0)  # then doubled each time, with jitter
    retry_most_seconds: float = Field(default=30, gt=0)  # capped, so that a recovered service is noticed soon
    stuck_after_attempts: int = Field(default=10, ge=1)  # about two minutes of the above
    lease_seconds: float = Field(default=30, gt=0)  # longer than an attempt (3 calls of 5 s); renewed while that lasts
    progress_seconds: float = Field(default=0.25, gt=0)  # the greatest age of what people see of a saga that takes long
    executor_sagas: int = Field(default=200, ge=1)  # active at once; more would only wait for each other
    web_executor: bool = True  # whether a web process runs the sagas that it accepts; else separate executors do
    executor_threads: int = Field(default=16, ge=1)  # for commands that are sent alone: as many are sent at once

    def url_of(self, service: Service) -> str:
        """Return the URL of the service."""
        return str(getattr(self, _setting_of(service)))


def service_urls(services: Iterable[Service]) -> Any:
    """Make a base class for settings, with a `<SERVICE>_SERVICE_URL` for each of the services."""
    fields: dict[str, Any] = {_setting_of(service): (ServiceUrl, service.default_url) for service in services}
    return create_model("ServiceUrls", __base__=ServiceSettings, **fields)


def _setting_of(service: Service) -> str:
    return f"{service.name}_service_url"

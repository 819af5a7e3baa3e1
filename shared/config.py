"""Settings of every service: typed, read once, checked at start; an error names the variable."""

import os
import re
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from flask import current_app
from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.broker_nodes import checked
from shared.purging.retention import DAY_SECONDS, MESSAGE_DAYS, Retention

ROOT = Path(__file__).resolve().parent.parent
# The files of settings beside the environment; the last one wins. Tests use none.
FILES = os.environ.get("SETTINGS_FILES", f"{ROOT}/.local/stack.env:{ROOT}/.env").split(":")


def _with_driver(url: str) -> str:
    """Name the driver: SQLAlchemy 2.1 uses another one for a bare `postgresql://`."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in {"postgres", "postgresql", "postgresql+psycopg2"}:
        raise ValueError("must be a postgresql:// URL")
    return f"postgresql+psycopg2://{rest}"


def host_names(listed: str) -> frozenset[str]:
    """Split a comma-separated list of host names; in lower case."""
    return frozenset(name.strip().lower() for name in listed.split(",") if name.strip())


def _named(listed: str) -> str:
    wrong = [name for name in host_names(listed) if not re.fullmatch(r"[a-z0-9._-]+|[0-9a-f:.]+", name)]
    if wrong:
        raise ValueError(f"must be names of hosts without ports, with commas between: not {', '.join(sorted(wrong))}")
    return listed


def _http(url: str) -> str:
    parts = urlsplit(url)
    try:
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        fits = False
    if url and not fits:
        raise ValueError("must be an http:// or https:// URL")
    return url


def _address(address: str) -> str:
    if address and (not re.fullmatch(r"[^\s:]+:\d{1,5}", address) or not 0 < int(address.partition(":")[2]) < 2**16):
        raise ValueError("must be host:port, such as 127.0.0.1:9464")
    return address


# Shorter than a caller's time limit (5 s), so that it gets 503 and not silence; a hundred times what statements take.
LOCK_SECONDS, STATEMENT_SECONDS = 3.0, 4.0

# Of a duration: more milliseconds than 2**31, 24 days of them, fit neither a timeout of PostgreSQL nor one of poll(2).
# Of a count: what every integer column and system call holds.
LONGEST, MOST = 1_000_000, 1_000_000_000

_EMPTY_IS_NONE = BeforeValidator(lambda value: value or None)
Secret = Annotated[SecretStr | None, _EMPTY_IS_NONE]
DatabaseUrl = Annotated[str, AfterValidator(_with_driver)]
ServiceUrl = Annotated[str, AfterValidator(_http)]
LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(str.upper)]
BrokerUrl = Annotated[str, AfterValidator(checked)]


def database_url(service: str) -> DatabaseUrl:
    """Make the field of a service's database: `<SERVICE>_DATABASE_URL`, or `DATABASE_URL` for all."""
    names = AliasChoices(f"{service.upper()}_DATABASE_URL", "DATABASE_URL")
    return Field(validation_alias=names)  # type: ignore[no-any-return]


def shop_currency() -> str:
    """Make the field of the shop's currency (ISO 4217), which must be the same at carrito, pagos and the dashboard.

    Its minor unit must be a hundredth, as everywhere in the project.
    """
    return Field(default="EUR", pattern="^[A-Z]{3}$")


class ServiceSettings(BaseSettings):
    """Settings of every service; a subclass adds its own. Times are in seconds.

    The environment wins over `.env`, which wins over what `make up` wrote for the stack it started.
    """

    # An error names the variable and what is wrong, without the value: URLs have passwords in them.
    model_config = SettingsConfigDict(
        env_file=[*filter(None, FILES)], extra="ignore", frozen=True, allow_inf_nan=False, hide_input_in_errors=True
    )

    rabbitmq_url: Annotated[BrokerUrl | None, _EMPTY_IS_NONE] = None
    topology_seconds: float = Field(default=10, gt=0)  # small frames; a third of `resend_seconds`
    partitions: int = Field(default=1, ge=1, le=64)  # of each service's queue; each of them is read by one worker
    queue_replicas: Annotated[int | None, _EMPTY_IS_NONE] = Field(default=None, ge=1)  # `shared/topology.py`
    web_threads: int = Field(default=16, ge=1)  # each with a database connection, so that none waits for another's
    lock_seconds: float = Field(default=LOCK_SECONDS, ge=0.001)  # time limit of a statement's wait for a lock
    statement_seconds: float = Field(default=STATEMENT_SECONDS, ge=0.001)  # 0 ms is no limit at all
    log_level: LogLevel = "INFO"
    otel_exporter_otlp_endpoint: ServiceUrl = ""  # of a collector; empty: no traces
    metrics_address: Annotated[str, AfterValidator(_address)] = ""  # where a worker shows /metrics; empty: nowhere
    client_seconds: float = Field(
        default=10, gt=0
    )  # a million bytes over a poor line; for a request, and for its answer
    max_body_bytes: int = Field(default=1_000_000, ge=1)  # a cart of a thousand lines is a tenth of this
    admin_token: Secret = None  # of operators; empty means none
    service_token: Secret = None  # of services among each other; empty means none
    faults: bool = False  # enables fault switches: for experiments, not for real customers
    insecure_demo: bool = False  # allows other machines to reach a service without tokens
    allowed_hosts: Annotated[str, AfterValidator(_named)] = ""  # further host names of the service, comma-separated
    published_on: str = ""  # of a container: the address where it is reached, which counts instead of the bound one

    # Ended sagas are shown, and completed ones can be compensated, for as long as most shops accept returns.
    saga_retention_days: float = Field(default=90, gt=0)
    # Barrier and inbox rows; twice as long, so that they outlive every request for a saga.
    step_retention_days: float = Field(default=180, gt=0)
    key_retention_days: float = Field(default=7, gt=0)  # longer than clients repeat requests
    purge_seconds: float = Field(default=60, ge=0)  # between two purges; 0 means never

    @field_validator("*")
    @classmethod
    def _bounded(cls, value: object) -> object:
        if isinstance(value, int | float) and value > (most := LONGEST if isinstance(value, float) else MOST):
            raise ValueError(f"must be at most {most:,}")
        return value

    @model_validator(mode="after")
    def _steps_outlast_sagas(self) -> Self:
        least = self.saga_retention_days + MESSAGE_DAYS
        if self.step_retention_days < least:
            raise ValueError(f"STEP_RETENTION_DAYS must be at least SAGA_RETENTION_DAYS + {MESSAGE_DAYS:g} = {least:g}")
        return self

    @classmethod
    def current(cls) -> Self:
        """The settings of the app that handles the present request or event."""
        settings: Self = current_app.extensions["settings"]
        return settings

    @property
    def retention(self) -> Retention:
        """The retention periods."""
        days = (self.saga_retention_days, self.step_retention_days, self.key_retention_days)
        return Retention(*(each * DAY_SECONDS for each in days))

    @property
    def threads(self) -> int:
        """Threads of the web process."""
        return self.web_threads


class ServiceUrls(BaseSettings):
    """URLs of all services, where set: their hosts are names by which this service may be called."""

    model_config = ServiceSettings.model_config

    carrito_service_url: ServiceUrl = ""
    inventario_service_url: ServiceUrl = ""
    pagos_service_url: ServiceUrl = ""
    orchestrator_url: ServiceUrl = ""
    choreography_url: ServiceUrl = ""


class WaitingServiceSettings(ServiceSettings):
    """Settings of a service whose requests may wait for the end of a saga, or for another service."""

    # Requests that wait for the end of a saga, and as many for another service. Each occupies a thread, but no database
    # connection; the other threads stay free for other requests.
    waiting_places: int = Field(default=128, ge=1)

    @property
    def threads(self) -> int:
        """Threads of the web process: waiting ones in addition to working ones."""
        return self.web_threads + 2 * self.waiting_places

    @property
    def carrito_places(self) -> int:
        """How many requests of a saga service may wait for carrito, besides those that wait for the end of a saga."""
        return self.waiting_places + self.web_threads // 2


class SagaServiceSettings(WaitingServiceSettings):
    """Settings of a saga service."""

    most_wait_seconds: float = Field(default=30, ge=0)  # the longest `Prefer: wait`, and the longest `wait` for changes

    @property
    def threads(self) -> int:
        """Threads of the web process, with those that wait for changes of sagas."""
        return super().threads + self.watching_places

    @property
    def watching_places(self) -> int:
        """How many requests may wait for changes of sagas, in addition to those of shoppers."""
        return max(1, self.waiting_places // 4)

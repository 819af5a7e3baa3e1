"""Settings that every service has; read once, typed, and failing at start with the variable's name."""

import os
import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.purging.retention import DAY_SECONDS, MESSAGE_DAYS, Retention

ROOT = Path(__file__).resolve().parent.parent
# Where settings are read from beside the environment, the last one first; tests name none.
FILES = os.environ.get("SETTINGS_FILES", f"{ROOT}/.local/stack.env:{ROOT}/.env").split(":")


def _with_driver(url: str) -> str:
    """SQLAlchemy 2.1 takes another driver for a bare `postgresql://`, so name ours."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in {"postgres", "postgresql", "postgresql+psycopg2"}:
        raise ValueError("must be a postgresql:// URL")
    return f"postgresql+psycopg2://{rest}"


def host_names(listed: str) -> frozenset[str]:
    """The names in a list with commas, in small letters."""
    return frozenset(name.strip().lower() for name in listed.split(",") if name.strip())


def _named(listed: str) -> str:
    wrong = [name for name in host_names(listed) if not re.fullmatch(r"[a-z0-9._-]+|[0-9a-f:.]+", name)]
    if wrong:
        raise ValueError(f"must be names of hosts without ports, with commas between: not {', '.join(sorted(wrong))}")
    return listed


# Less than a caller waits (5 s), so that it is told "not now" instead of nothing; a hundred times what statements take.
LOCK_SECONDS, STATEMENT_SECONDS = 3.0, 4.0

_EMPTY_IS_NONE = BeforeValidator(lambda value: value or None)
Secret = Annotated[SecretStr | None, _EMPTY_IS_NONE]
DatabaseUrl = Annotated[str, AfterValidator(_with_driver)]


def database_url(service: str) -> DatabaseUrl:
    """The field for a service's database: `<SERVICE>_DATABASE_URL`, or `DATABASE_URL` for all."""
    names = AliasChoices(f"{service.upper()}_DATABASE_URL", "DATABASE_URL")
    return Field(validation_alias=names)  # type: ignore[no-any-return]


class ServiceSettings(BaseSettings):
    """What every service reads; a subclass adds its own. Times are in seconds.

    The environment wins over `.env`, which wins over what `make up` wrote for the stack it started.
    """

    model_config = SettingsConfigDict(env_file=[*filter(None, FILES)], extra="ignore", frozen=True)

    rabbitmq_url: Annotated[str | None, _EMPTY_IS_NONE] = None
    topology_seconds: float = Field(default=10, gt=0)  # small frames; a third of `resend_seconds`
    web_threads: int = Field(default=16, ge=1)  # one connection each, so that none waits for another's
    lock_seconds: float = Field(default=LOCK_SECONDS, gt=0)  # how long a statement may wait for a lock
    statement_seconds: float = Field(default=STATEMENT_SECONDS, gt=0)  # how long it may take in all
    log_level: str = "INFO"
    client_seconds: float = Field(
        default=10, gt=0
    )  # a million bytes over a poor line; for a request, and for its answer
    max_body_bytes: int = 1_000_000  # a cart of a thousand lines is a tenth of this
    admin_token: Secret = None  # what operators' requests come with; empty is none
    service_token: Secret = None  # what the services' requests to each other come with; empty is none
    faults: bool = False  # let faults be switched on; for trying out what happens, not for real customers
    insecure_demo: bool = False  # let others than this machine reach a service without them
    allowed_hosts: Annotated[str, AfterValidator(_named)] = (
        ""  # further names that a service goes by, with commas between
    )
    published_on: str = ""  # of a container: where it can be reached, which counts instead of where it is bound

    # An ended saga is shown, and a completed one can be undone, for as long as most shops take goods back.
    saga_retention_days: float = Field(default=90, gt=0)
    # What makes a saga's steps happen once; twice as long, so that whatever is asked of a saga finds it.
    step_retention_days: float = Field(default=180, gt=0)
    key_retention_days: float = Field(default=7, gt=0)  # longer than any client repeats a request by itself
    purge_seconds: float = Field(default=60, ge=0)  # between two purges; 0 is none at all

    @model_validator(mode="after")
    def _steps_outlast_sagas(self) -> Self:
        least = self.saga_retention_days + MESSAGE_DAYS
        if self.step_retention_days < least:
            raise ValueError(f"STEP_RETENTION_DAYS must be at least SAGA_RETENTION_DAYS + {MESSAGE_DAYS:g} = {least:g}")
        return self

    @property
    def retention(self) -> Retention:
        """For how long things are kept."""
        days = (self.saga_retention_days, self.step_retention_days, self.key_retention_days)
        return Retention(*(each * DAY_SECONDS for each in days))

    @property
    def threads(self) -> int:
        """Of the web process."""
        return self.web_threads


class ServiceUrls(BaseSettings):
    """Where the services are, as far as that is set: for a service that asks none of them, but goes by such a name."""

    model_config = ServiceSettings.model_config

    carrito_service_url: str = ""
    inventario_service_url: str = ""
    pagos_service_url: str = ""
    orchestrator_url: str = ""
    choreography_url: str = ""


class WaitingServiceSettings(ServiceSettings):
    """Of a service whose requests may wait for a saga's end, or for another service."""

    # For a saga's end, and as many for another service. Each takes a thread, but no connection to the database while
    # it waits; the other threads are always free for other requests.
    waiting_places: int = Field(default=128, ge=1)

    @property
    def threads(self) -> int:
        """Of the web process: those that wait are beside those that work."""
        return self.web_threads + 2 * self.waiting_places

    @property
    def carrito_places(self) -> int:
        """How many requests of a saga's service may wait for carrito: also beside those that wait for a saga's end."""
        return self.waiting_places + self.web_threads // 2


class SagaServiceSettings(WaitingServiceSettings):
    """Of a service that runs or shows sagas."""

    @property
    def threads(self) -> int:
        """Of the web process: those that wait for changes of sagas are beside the others, too."""
        return super().threads + self.watching_places

    @property
    def watching_places(self) -> int:
        """How many requests may wait for any saga to change: one watches for many people. No shopper's are taken."""
        return max(1, self.waiting_places // 4)

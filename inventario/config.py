"""Settings of inventario."""

from pydantic import Field

from shared.config import DatabaseUrl, ServiceSettings, ServiceUrl, database_url


class Settings(ServiceSettings):
    """Times are in seconds."""

    database_url: DatabaseUrl = database_url("inventario")
    carrito_service_url: ServiceUrl = ""  # tells whether a saga turned back; empty: every saga counts as turned back
    # Longer than the forward deadline of a saga (60 s), with time for the restart of a service. An abandoned saga keeps
    # stock from other shoppers for a quarter of an hour at most.
    hold_seconds: float = Field(default=900, gt=0)

"""Settings of pagos."""

from pydantic import Field

from shared.config import DatabaseUrl, ServiceSettings, database_url


class Settings(ServiceSettings):
    """One shop, one currency."""

    database_url: DatabaseUrl = database_url("pagos")
    carrito_service_url: str = ""  # tells whether a saga turned back; empty: every saga counts as turned back
    # Its minor unit must be a hundredth, as everywhere in the project.
    currency: str = Field(default="EUR", pattern="^[A-Z]{3}$")

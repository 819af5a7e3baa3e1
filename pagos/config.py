"""Settings of pagos."""

from pydantic import Field

from shared.config import DatabaseUrl, ServiceSettings, database_url


class Settings(ServiceSettings):
    """One shop, one currency."""

    database_url: DatabaseUrl = database_url("pagos")
    carrito_service_url: str = ""  # who is asked whether a saga turned back; without it, nobody
    # One with two decimal places: money is counted in hundredths everywhere.
    currency: str = Field(default="EUR", pattern="^[A-Z]{3}$")

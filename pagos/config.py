"""Settings of pagos."""

from shared.config import DatabaseUrl, ServiceSettings, ServiceUrl, database_url, shop_currency


class Settings(ServiceSettings):
    """One shop, one currency."""

    database_url: DatabaseUrl = database_url("pagos")
    carrito_service_url: ServiceUrl = ""  # tells whether a saga turned back; empty: every saga counts as turned back
    currency: str = shop_currency()

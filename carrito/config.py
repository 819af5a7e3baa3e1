"""Settings of carrito."""

from pydantic import Field

from shared.config import DatabaseUrl, ServiceUrl, WaitingServiceSettings, database_url, shop_currency


class Settings(WaitingServiceSettings):
    """Times are in seconds."""

    database_url: DatabaseUrl = database_url("carrito")
    inventario_service_url: ServiceUrl = "http://127.0.0.1:3001"
    orchestrator_url: ServiceUrl = "http://127.0.0.1:3003"
    choreography_url: ServiceUrl = "http://127.0.0.1:3004"
    # The request that begins a checkout hands it over. The worker does so after this time, in case carrito or the saga
    # service died in between. It is longer than such a request usually takes; handing over twice does no harm.
    handover_seconds: float = Field(default=10, gt=0)
    cart_retention_days: float = Field(
        default=90, gt=0
    )  # of a cart that nobody changes; longer than a shopper hesitates
    currency: str = shop_currency()

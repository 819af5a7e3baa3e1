"""Settings of the dashboard: where the services are, and what every web process reads."""

from pydantic import Field

from shared.config import ServiceSettings, ServiceUrl, shop_currency


class Settings(ServiceSettings):
    """Times are in seconds."""

    carrito_service_url: ServiceUrl = "http://127.0.0.1:3000"
    inventario_service_url: ServiceUrl = "http://127.0.0.1:3001"
    pagos_service_url: ServiceUrl = "http://127.0.0.1:3002"
    orchestrator_url: ServiceUrl = "http://127.0.0.1:3003"
    choreography_url: ServiceUrl = "http://127.0.0.1:3004"

    # Forty times what a read takes; a page shows as not known what services have not answered by then.
    dashboard_read_seconds: float = Field(default=2, gt=0)

    # Open streams of changes, each with a thread; the pages of further browsers poll every few seconds.
    dashboard_streams: int = Field(default=128, ge=0)

    currency: str = shop_currency()

    @property
    def threads(self) -> int:
        """Threads of the web process: those for pages, and one for each stream."""
        return super().threads + self.dashboard_streams

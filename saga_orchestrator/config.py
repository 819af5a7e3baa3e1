"""Settings of the orchestrator."""

from saga_orchestrator.orchestrator import VERSIONS
from saga_orchestrator.runtime.settings import RuntimeSettings, service_urls
from shared.config import DatabaseUrl, database_url


class Settings(RuntimeSettings, service_urls(VERSIONS.services)):  # type: ignore[misc]
    """Those of the runtime, a `<SERVICE>_SERVICE_URL` for each participant, and these. Times are in seconds."""

    database_url: DatabaseUrl = database_url("saga_orchestrator")

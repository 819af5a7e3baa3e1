"""Two recorded sagas, and the services' answers about them."""

from typing import Any

from flask.testing import FlaskClient

from dashboard.config import Settings
from tests.unit.dashboard.answering import Service
from tests.unit.dashboard.recorded import load
from tests.unit.dashboard.text import Text

NAMES = ("carrito", "inventario", "pagos", "orchestrator", "choreography")
ORCHESTRATED, CHOREOGRAPHED = load("orchestrated-undone"), load("choreographed-completed")
SAGA, OTHER = ORCHESTRATED["saga"]["saga_id"], CHOREOGRAPHED["saga"]["saga_id"]
PAGE = f"/sagas/orchestrated/{SAGA}"
TOKEN = "operator's own"
NOBODY = "01a21726-0000-7000-8000-000000000000"

Services = dict[str, Service]
NO_TIMES = {"latency_ms": {"p50": None, "p95": None}, "books_open_ms": {"p50": None, "p95": None}}


def stats(seconds: float = 3600.0, ended: dict[str, int] | None = None, **live: int) -> dict[str, Any]:
    """Return an answer of `GET …/stats`."""
    none = dict.fromkeys(("pending", "running", "compensating", "stuck"), 0)
    over = {"completed": 0, "compensated": 0, **(ended or {})}
    return {"seconds": seconds, "live": {**none, **live}, "ended": over, "per_second": 0.0, **NO_TIMES}


def answers_of(told: dict[str, Any], base: str, listed: str) -> dict[str, dict[str, Any]]:
    """Return by service the answers about a recorded saga."""
    saga, outcome = told["saga"], told["outcome"]
    cart = saga["cart_id"]
    window = "orchestrator" if saga["saga_pattern"] == "orchestrated" else "choreography"
    page = {"items": [saga], "next_cursor": None}
    return {
        "carrito": {
            f"/orders/saga/{cart}": outcome["orders"],
            f"/carts/{cart}": outcome["cart"],
            f"/orders/{saga['order_id']}": {"id": saga["order_id"], "cart_id": cart, "saga_id": saga["saga_id"]},
        },
        "pagos": {f"/api/v1/payments/saga/{cart}": outcome["payments"]},
        "inventario": {f"/api/products/reservations/{cart}": outcome["reservations"]},
        window: {
            f"{base}/{saga['saga_id']}": saga,
            f"{base}/{saga['saga_id']}/timeline": told["timeline"],
            f"{listed}?limit=50": page,
            f"{listed}?status=compensated&limit=50": page,
            f"{listed}?cart_id={cart}&limit=50": page,
            f"{base}/stats?seconds=3600": stats(ended={saga["status"]: 1}),
        },
    }


def settings_of(services: Services, **more: Any) -> Settings:
    """Return the settings of a dashboard that reads these services."""
    return Settings(
        _env_file=None,
        carrito_service_url=services["carrito"].url,
        inventario_service_url=services["inventario"].url,
        pagos_service_url=services["pagos"].url,
        orchestrator_url=services["orchestrator"].url,
        choreography_url=services["choreography"].url,
        **more,
    )


def said(client: FlaskClient, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status
    return Text(answer.text).text

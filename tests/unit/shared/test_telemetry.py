"""Traces are off unless a collector is named."""

import subprocess
import sys

import pytest

from shared import telemetry
from shared.config import ServiceSettings

SERVICES = ("carrito", "inventario", "pagos", "saga_orchestrator", "saga_choreography")


def test_without_a_collector_no_service_imports_opentelemetry() -> None:
    create = "; ".join(f"import {each}.app" for each in SERVICES)
    code = f"import sys; {create}; print([name for name in sys.modules if name.startswith('opentelemetry')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_a_collector_spans_have_no_context() -> None:
    telemetry.start("carrito", ServiceSettings(_env_file=None).otel_exporter_otlp_endpoint)
    with telemetry.span("GET /", "SERVER", telemetry.ROOT) as span:
        assert (telemetry.enabled(), telemetry.current(), span.headers) == (False, None, {})
        assert telemetry.begin("reserve", "INTERNAL") is telemetry.NOT_RECORDED


@pytest.mark.parametrize("url", ["localhost:4318", "grpc://collector:4317", "collector"])
def test_a_collector_has_an_http_url(url: str) -> None:
    with pytest.raises(ValueError, match="http"):
        ServiceSettings(_env_file=None, otel_exporter_otlp_endpoint=url)

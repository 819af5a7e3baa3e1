"""Traces are off unless a collector is named."""

import os
import subprocess
import sys

import pytest

from shared import telemetry
from shared.config import ROOT, ServiceSettings

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


def started(**settings: str) -> subprocess.CompletedProcess[str]:
    """A process that starts to record spans with these settings of OpenTelemetry."""
    start = "from shared import telemetry; telemetry.start('pagos', 'http://127.0.0.1:9')"
    return subprocess.run(
        [sys.executable, "-c", start],
        cwd=ROOT,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"])
@pytest.mark.parametrize(
    "value", ["secret", "a=b,secret", "a=secret;c", "a b=secret", "=secret", "a=secret\\", "a=sécret"]
)
def test_headers_that_cannot_be_read_are_named_and_not_shown(name: str, value: str) -> None:
    done = started(**{name: value})
    assert f"RuntimeError: {name} is no list of name=value pairs" in done.stderr
    assert "cret" not in done.stdout + done.stderr


@pytest.mark.parametrize("value", ["a=b", "authorization=Basic%20c2VjcmV0==,x-tenant = one", "a=b,,c=", "api-key=a b"])
def test_headers_as_documented_are_taken_without_a_word(value: str) -> None:
    done = started(OTEL_EXPORTER_OTLP_HEADERS=value)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("name", "value"), [("MAX_QUEUE_SIZE", "0"), ("SCHEDULE_DELAY", "-1"), ("MAX_EXPORT_BATCH_SIZE", "9999")]
)
def test_settings_of_batches_that_do_not_fit_are_named(name: str, value: str) -> None:
    assert "RuntimeError: the settings OTEL_BSP_" in started(**{f"OTEL_BSP_{name}": value}).stderr


@pytest.mark.parametrize("name", ["MAX_QUEUE_SIZE", "SCHEDULE_DELAY", "MAX_EXPORT_BATCH_SIZE", "EXPORT_TIMEOUT"])
@pytest.mark.parametrize("value", ["secret", "1.5", ""])
def test_settings_of_batches_that_are_no_numbers_are_named_and_not_shown(name: str, value: str) -> None:
    done = started(**{f"OTEL_BSP_{name}": value})
    assert done.stderr.endswith(f"RuntimeError: OTEL_BSP_{name} is no whole number\n")
    assert "secret" not in done.stderr


@pytest.mark.parametrize("url", ["localhost:4318", "grpc://collector:4317", "collector"])
def test_a_collector_has_an_http_url(url: str) -> None:
    with pytest.raises(ValueError, match="http"):
        ServiceSettings(_env_file=None, otel_exporter_otlp_endpoint=url)

"""Workers as processes."""

import os
import subprocess
import sys

import pytest

WORKERS = ["carrito", "inventario", "pagos", "saga_choreography", "saga_orchestrator"]


def run(service: str, **env: str) -> subprocess.CompletedProcess[str]:
    """A worker that ends by itself, as it came to that."""
    return subprocess.run(
        [sys.executable, "-m", f"{service}.worker"],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("service", WORKERS)
def test_a_worker_that_cannot_work_ends_so_that_it_is_noticed(
    service: str, database_url: str, empty_database_url: str, rabbitmq_url: str
) -> None:
    """A database without tables is no outage; a process that only looked alive would hide it. (Roles are there.)"""
    assert database_url != empty_database_url
    done = run(service, RABBITMQ_URL=rabbitmq_url, **{f"{service.upper()}_DATABASE_URL": empty_database_url})
    assert done.returncode > 0
    assert "does not exist" in done.stderr


def test_a_worker_that_has_nothing_to_do_says_so(database_url: str) -> None:
    done = run("pagos", RABBITMQ_URL="", PURGE_SECONDS="0", PAGOS_DATABASE_URL=database_url, SETTINGS_FILES="")
    assert done.returncode > 0
    assert "RABBITMQ_URL is not set" in done.stderr

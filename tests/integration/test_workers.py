"""Workers as processes."""

import os
import subprocess
import sys

import pytest

WORKERS = ["carrito.worker", "inventario.worker", "saga_orchestrator.worker"]


@pytest.mark.parametrize("module", WORKERS)
def test_a_worker_that_cannot_work_ends_so_that_it_is_noticed(
    module: str, database_url: str, empty_database_url: str
) -> None:
    """A database without tables is no outage; a process that only looked alive would hide it. (Roles are there.)"""
    assert database_url != empty_database_url
    names = ("CARRITO", "INVENTARIO", "SAGA_ORCHESTRATOR")
    urls = {f"{name}_DATABASE_URL": empty_database_url for name in names}
    done = subprocess.run(
        [sys.executable, "-m", module],
        env={**os.environ, **urls},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode != 0
    assert "does not exist" in done.stderr

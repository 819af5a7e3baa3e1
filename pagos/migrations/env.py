"""Alembic's entry into pagos's history."""

from pagos.models import metadata
from shared.database.migrations import run_env

run_env(metadata)

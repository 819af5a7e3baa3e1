"""Alembic's entry into inventario's history."""

from inventario.models import metadata
from shared.database.migrations import run_env

run_env(metadata)

"""Alembic's entry into carrito's history."""

from carrito.models import metadata
from shared.database.migrations import run_env

run_env(metadata)

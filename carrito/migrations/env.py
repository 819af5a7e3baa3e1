"""Alembic's entry into carrito's history."""

from carrito.models import metadata
from shared.migrations import run_env

run_env(metadata)

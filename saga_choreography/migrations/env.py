"""Alembic's entry into the choreography's history."""

from saga_choreography.models import metadata
from shared.database.migrations import run_env

run_env(metadata)

"""Connections to PostgreSQL, migrations, prepared statements, and being woken by NOTIFY."""

"""Reads a worker's heartbeat."""

from pathlib import Path

from shared.process import heartbeat


def trouble(file: Path) -> str:
    """Return what is wrong with the process that writes it; empty when it is well or unknown."""
    known = heartbeat.trouble(file) if file.exists() else None
    return known.reason if known else ""


def is_well(file: Path) -> bool:
    """Whether all loops of its process make progress, and none reports a reason why it can't work."""
    return file.exists() and heartbeat.trouble(file) is None

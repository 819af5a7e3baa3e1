"""What a worker's heartbeat tells, as far as it has written yet."""

from pathlib import Path

from shared.process import heartbeat


def trouble(file: Path) -> str:
    """What is wrong with the process that writes it; empty when nothing is, or nothing is known."""
    known = heartbeat.trouble(file) if file.exists() else None
    return known.reason if known else ""


def is_well(file: Path) -> bool:
    """Whether it says that all loops of its process go round, and not in vain."""
    return file.exists() and heartbeat.trouble(file) is None

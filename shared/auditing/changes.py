"""Which sagas an audit examines: those that changed since the last audit, and those that it left open.

The auditor keeps its own notes, so the audited services can't influence what is examined. Without notes, or with notes
of another database or older than a service's log of changes, it examines all sagas.
"""

import json
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from pydantic import BaseModel, TypeAdapter, ValidationError

from shared.auditing.services import Services


@dataclass(frozen=True)
class LogPosition:
    """How far a service's log was read. `place` identifies the database; it is another one after a restore."""

    place: str
    xid: int


@dataclass(frozen=True)
class Notes:
    """The notes of an audit for the next one."""

    positions: Mapping[str, LogPosition] = field(default_factory=dict)
    open: frozenset[str] = frozenset()  # sagas that were not found in order

    @classmethod
    def load(cls, path: Path | None) -> "Notes":
        """Read the notes of the last audit; empty ones when there are none, or they can't be read."""
        try:
            return _NOTES.validate_json(path.read_bytes()) if path else cls()
        except (OSError, ValidationError):
            return cls()

    def save(self, path: Path) -> None:
        """Replace the notes atomically, so that a killed audit leaves the old ones."""
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(
            json.dumps(
                {"positions": {name: vars(each) for name, each in self.positions.items()}, "open": sorted(self.open)}
            )
        )
        new.replace(path)


_NOTES = TypeAdapter(Notes)


class _More(BaseModel):
    xid: int
    saga_id: str


class _Log(BaseModel):
    place: str
    begins: int
    next_xid: int
    saga_ids: list[str]
    more: _More | None


class _Ids(BaseModel):
    saga_ids: list[str]


@dataclass(frozen=True)
class SagasToExamine:
    """The sagas to examine; whether these are all sagas; and where the next audit continues."""

    saga_ids: list[str]
    full: bool
    positions: Mapping[str, LogPosition]


def read_changed(services: Services, notes: Notes, pool: Executor) -> SagasToExamine:
    """Read the sagas that changed in any service since these notes, or that the notes left open.

    Raises `AuditUnreadable`.
    """
    logs = dict(zip(services, pool.map(lambda service: _read(services, service, {}), services), strict=True))
    positions = {service: LogPosition(log.place, log.next_xid) for service, log in logs.items()}
    full = not all(_continues(notes.positions.get(service), log) for service, log in logs.items())
    if full:
        found = pool.map(lambda service: _all(services, service), services)
    else:
        found = pool.map(lambda service: _since(services, service, notes.positions[service].xid), services)
    return SagasToExamine(sorted(notes.open.union(*found)), full, positions)


def _continues(known: LogPosition | None, log: _Log) -> bool:
    """Whether the log still has all changes since this position."""
    return known is not None and known.place == log.place and log.begins <= known.xid <= log.next_xid


def _since(services: Services, service: str, xid: int) -> set[str]:
    found: set[str] = set()
    more: Mapping[str, Any] | None = {"xid": xid}
    while more is not None:
        page = _read(services, service, more)
        found.update(page.saga_ids)
        more = page.more.model_dump() if page.more else None
    return found


def _all(services: Services, service: str) -> set[str]:
    found: set[str] = set()
    after = "00000000-0000-0000-0000-000000000000"
    while page := services.read(service, f"/audit/sagas?after={after}", _Ids).saga_ids:
        found.update(page)
        after = page[-1]
    return found


def _read(services: Services, service: str, query: Mapping[str, Any]) -> _Log:
    return services.read(service, f"/audit/changes?{urlencode(query)}", _Log)

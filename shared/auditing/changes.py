"""Which sagas an audit has to look at: those that changed since the last one, and those that were left open then.

The auditor keeps notes of its own, and so nothing that is audited can say what was seen. Without notes, or when they
are of another database or older than what a service still remembers, every saga is looked at.
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
class Position:
    """How far a service's log was read; `place` tells one database from another, also after a restore."""

    place: str
    xid: int


@dataclass(frozen=True)
class Notes:
    """What an audit leaves for the next one."""

    positions: Mapping[str, Position] = field(default_factory=dict)
    open: frozenset[str] = frozenset()  # sagas that were not found in order

    @classmethod
    def load(cls, path: Path | None) -> "Notes":
        """Those of the last audit; empty ones where there are none that can be read."""
        try:
            return _NOTES.validate_json(path.read_bytes()) if path else cls()
        except (OSError, ValidationError):
            return cls()

    def save(self, path: Path) -> None:
        """Replace the notes at once, so that an audit that is killed leaves the old ones."""
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
class Changed:
    """The sagas to look at; whether these are all that there are; and where the next audit reads on."""

    saga_ids: list[str]
    full: bool
    positions: Mapping[str, Position]


def read_changed(services: Services, notes: Notes, pool: Executor) -> Changed:
    """What changed in any service since these notes, and what they left open. Raises `Unreadable`."""
    logs = dict(zip(services, pool.map(lambda service: _read(services, service, {}), services), strict=True))
    positions = {service: Position(log.place, log.next_xid) for service, log in logs.items()}
    full = not all(_continues(notes.positions.get(service), log) for service, log in logs.items())
    if full:
        found = pool.map(lambda service: _all(services, service), services)
    else:
        found = pool.map(lambda service: _since(services, service, notes.positions[service].xid), services)
    return Changed(sorted(notes.open.union(*found)), full, positions)


def _continues(known: Position | None, log: _Log) -> bool:
    """Whether all that changed since this position is still in the log."""
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

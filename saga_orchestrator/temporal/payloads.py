"""Arguments and results of workflows and activities; Temporal keeps them as JSON in a workflow's history."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from saga_orchestrator.runtime.leases import Lease
from saga_orchestrator.runtime.serialization import (
    as_json,
    instance_from_row,
    instance_to_row,
    state_from_json,
    state_to_json,
)
from saga_orchestrator.runtime.versions import Versions

LeaseDocument = dict[str, Any]  # a `Lease` as JSON


@dataclass(frozen=True)
class Limits:
    """Settings that a saga keeps while it runs. Times are in seconds."""

    retry_first: float
    retry_most: float
    stuck_after: int
    attempt: float  # the longest duration of an attempt
    heartbeat: float
    lease: float
    history_events: int


@dataclass(frozen=True)
class SagaStart:
    """A saga to run, in any state."""

    lease: LeaseDocument
    limits: Limits


@dataclass(frozen=True)
class AttemptRequest:
    """A command to attempt; the saga's state is the one before the attempt."""

    lease: LeaseDocument
    step: str
    direction: str


@dataclass(frozen=True)
class AttemptResult:
    """The outcome of an attempt: `succeeded`, `refused` or `unknown`; `lost` when another lease replaced the saga's.

    `entries` are timeline entries that are not written yet.
    """

    outcome: str
    error: str
    contradicts: bool
    lost: bool
    entries: list[dict[str, Any]]
    first_effect_at: str | None


@dataclass(frozen=True)
class CheckpointRequest:
    """A saga to write, with a `CheckpointKind`. Due again in `due_in` seconds, or never (None), since it has ended."""

    lease: LeaseDocument
    kind: str
    due_in: float | None


def lease_to_document(lease: Lease) -> LeaseDocument:
    """Return the lease as JSON values."""
    document: LeaseDocument = json.loads(
        as_json(
            {
                **instance_to_row(lease.definition, lease.saga),
                "version": lease.definition.version,
                "state": state_to_json(lease.state),
                "fencing_token": lease.fencing_token,
                "owner": lease.owner,
                "revision": lease.revision,
                "deadline_seconds": lease.deadline_seconds,
                "entries": lease.entries,
                "first_effect_at": lease.first_effect_at,
            }
        )
    )
    return document


def lease_from_document(document: Mapping[str, Any], versions: Versions[Any]) -> Lease:
    """Make the lease; raises `UnknownVersion`."""
    definition = versions[document["version"]]
    first_effect_at = document["first_effect_at"]
    return Lease(
        definition,
        instance_from_row(definition, {"trace": None, **document, "saga_id": UUID(document["saga_id"])}),
        state_from_json(document["state"]),
        document["fencing_token"],
        document["owner"],
        document["deadline_seconds"],
        [*document["entries"]],
        None if first_effect_at is None else datetime.fromisoformat(first_effect_at),
        document["revision"],
    )

"""Workflows keep all of a saga in Temporal's history."""

import json
from dataclasses import replace
from datetime import UTC, datetime

from saga_orchestrator.domain import Checkout, Line
from saga_orchestrator.orchestrator import CHECKOUT, VERSIONS
from saga_orchestrator.runtime.engine import begin, started
from saga_orchestrator.runtime.leases import Lease
from saga_orchestrator.runtime.serialization import timeline_entry
from saga_orchestrator.runtime.state import Command
from saga_orchestrator.runtime.store import new_instance
from saga_orchestrator.temporal.payloads import lease_from_document, lease_to_document
from shared.ids import new_id
from shared.saga.states import Direction


def test_a_lease_is_the_same_after_it_was_kept_as_json() -> None:
    checkout = Checkout(new_id(), "ana", "paypal", {"street": "Main St 1"}, (Line(1, 2), Line(3, 4)), 1998)
    saga = new_instance(CHECKOUT, new_id(), checkout, {}, "delay")
    state = started(begin(CHECKOUT), Command("reserve_inventory", Direction.ACTION))
    lease = Lease(CHECKOUT, saga, state, 3, "temporal", 59.5, [], datetime.now(UTC), 7)
    assert lease_from_document(json.loads(json.dumps(lease_to_document(lease))), VERSIONS) == lease


def test_its_entries_are_written_as_they_were() -> None:
    saga = new_instance(CHECKOUT, new_id(), Checkout(new_id(), "ana", "paypal", "here", (), 0), {})
    entry = timeline_entry(saga.saga_id, "attempt", step="create_order", attempt=2, status_code=503)
    lease = Lease(CHECKOUT, saga, begin(CHECKOUT), 1, "temporal", 59.5, [entry])
    (kept,) = lease_from_document(lease_to_document(lease), VERSIONS).entries
    texts = {name: str(entry[name]) for name in ("id", "saga_id", "started_at", "finished_at")}
    assert kept == {**entry, **texts}
    assert replace(lease, entries=[kept]) == lease_from_document(lease_to_document(lease), VERSIONS)

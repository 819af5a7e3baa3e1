"""Decides which faults happen to requests, and counts them, in a transaction before the requests are handled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from shared.database.connections import Database
from shared.fault_switches.model import BEFORE, OF_MESSAGES, UNTOLD, Fault, FaultName
from shared.fault_switches.steps import StepRequest
from shared.fault_switches.store import FaultKey, FaultStore
from shared.http.answers import http_problem


@dataclass(frozen=True)
class Injected:
    """The faults that happen to one request.

    `untold` are faults that happened to its step before and that no answer could report, in the notation of `X-Fault`.
    """

    faults: tuple[Fault, ...] = ()
    untold: str = ""

    def get(self, name: FaultName) -> Fault | None:
        """Return the fault with this name, if it happens."""
        return next((fault for fault in self.faults if fault.name is name), None)

    @property
    def prevented(self) -> FaultName | None:
        """The fault that prevents the step this time, if any."""
        return next((fault.name for fault in self.faults if fault.prevents), None)

    @property
    def names(self) -> str:
        """Their names, as an answer reports them."""
        return ", ".join(fault.name for fault in self.faults)

    def marked(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Add the faults to an answer's body, unless it reports them already."""
        injected = {} if not self.faults or "injected" in body else {"injected": self.names}
        before = {BEFORE: self.untold} if self.untold else {}
        return {**body, **injected, **before} if injected or before else body


NOTHING = Injected()


class Injector:
    """One service's faults. Thread-safe; call it in the app's context."""

    def __init__(self, db: Database, store: FaultStore) -> None:
        self._db = db
        self._store = store

    def plan(self, requests: Sequence[StepRequest | None], *, of_messages: bool = False) -> list[Injected]:
        """Decide the faults of each request, or of its message on the way; None, a request of no step, gets none.

        Of equal requests of one saga, one gets the fault.
        """
        of_steps = [each for each in requests if each is not None]
        planned = iter(self._plan(of_steps, of_messages=of_messages) if of_steps else ())
        return [NOTHING if each is None else next(planned) for each in requests]

    def _plan(self, requests: Sequence[StepRequest], *, of_messages: bool) -> list[Injected]:
        with self._db.transaction() as connection:
            switches = self._store.switched_on(connection)
            due = [
                [fault for fault in _due(request, switches) if (fault.name in OF_MESSAGES) is of_messages]
                for request in requests
            ]
            untold = [""] * len(requests) if of_messages else self._untold(connection, requests)
            if not any(due):
                return [Injected(untold=each) for each in untold]
            prevented = self._happening(connection, requests, [_preventing(faults) for faults in due])
            others = [[] if first else _others(faults) for first, faults in zip(prevented, due, strict=True)]
            happening = self._happening(connection, requests, others)
        found = zip(prevented, happening, untold, strict=True)
        return [Injected(tuple(first or rest), before) for first, rest, before in found]

    def _untold(self, connection: Connection, requests: Sequence[StepRequest]) -> list[str]:
        """Return for each request the faults that happened to its step before and left no answer."""
        counted = self._store.counted(connection, {request.saga_id for request in requests})
        losses = [(key, count) for key, count in sorted(counted.items()) if key[2] in UNTOLD]
        return [
            ",".join(
                f"{step}={name}*{count}"
                for (saga_id, step, name), count in losses
                if saga_id == request.saga_id and step in request.half.steps
            )
            for request in requests
        ]

    def _happening(
        self, connection: Connection, requests: Sequence[StepRequest], due: Sequence[Sequence[Fault]]
    ) -> list[list[Fault]]:
        """Return the faults of each request that happen; each fault of a saga once among them."""
        pairs = [(request, fault) for request, faults in zip(requests, due, strict=True) for fault in faults]
        refusals = [pair for pair in pairs if pair[1].name is FaultName.REFUSE]
        refused = self._store.refuse(
            connection, {(request.saga_id, fault.step): refusal_of(fault) for request, fault in refusals}
        )
        due_now = [
            (request, fault)
            for request, fault in pairs
            if fault.name is not FaultName.REFUSE or _key(request, fault) in refused
        ]
        left = self._store.fire(connection, [(request.saga_id, fault) for request, fault in due_now])
        return [
            [fault for fault in faults if _taken(left, _key(request, fault))]
            for request, faults in zip(requests, due, strict=True)
        ]


def refusal_of(fault: Fault) -> dict[str, Any]:
    """Return the problem with which a fault refuses a step."""
    return problem(409, f"{fault.step} was refused on purpose", FaultName.REFUSE)


def problem(status: int, detail: str, name: str) -> dict[str, Any]:
    """Build a problem that is marked as injected."""
    return http_problem(status, detail, injected=name)


def prevention(name: FaultName) -> dict[str, Any]:
    """Return the problem of a request that a fault prevents."""
    if name is FaultName.UNAVAILABLE:
        return problem(503, "not available, on purpose", name)
    return problem(500, "the compensation failed, on purpose", name)


def _due(request: StepRequest, switches: Sequence[Fault]) -> list[Fault]:
    """Return the faults that apply to the request: its saga's own, then switched-on ones, one of each name."""
    found: Mapping[FaultName, Fault] = {
        fault.name: fault for fault in (*reversed(switches), *reversed(request.faults)) if request.suffers(fault)
    }
    return list(found.values())


def _preventing(faults: Sequence[Fault]) -> list[Fault]:
    """Return the faults that prevent a step: while one of them happens, no other fault is counted."""
    return [fault for fault in faults if fault.prevents]


def _others(faults: Sequence[Fault]) -> list[Fault]:
    return [fault for fault in faults if not fault.prevents]


def _key(request: StepRequest, fault: Fault) -> FaultKey:
    return request.saga_id, fault.step, fault.name.value


def _taken(keys: set[FaultKey], key: FaultKey) -> bool:
    """Remove the key; return whether it was there."""
    if key not in keys:
        return False
    keys.remove(key)
    return True

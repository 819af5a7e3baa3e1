"""Decides which faults happen to requests, and counts them, in one transaction before anything else is done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from shared.database.connections import Database
from shared.fault_switches.model import BEFORE, OF_MESSAGES, UNTOLD, Fault, FaultName
from shared.fault_switches.steps import StepRequest
from shared.fault_switches.store import FaultStore, Key
from shared.http.answers import http_problem


@dataclass(frozen=True)
class Injected:
    """The faults that happen to one request.

    `untold` are those that happened to its step before and of which no answer told, in the notation of `X-Fault`.
    """

    faults: tuple[Fault, ...] = ()
    untold: str = ""

    def get(self, name: FaultName) -> Fault | None:
        """The fault with this name, if it happens."""
        return next((fault for fault in self.faults if fault.name is name), None)

    @property
    def prevented(self) -> FaultName | None:
        """The fault for which the step is not done this time."""
        return next((fault.name for fault in self.faults if fault.prevents), None)

    @property
    def names(self) -> str:
        """Their names, as an answer tells them."""
        return ", ".join(fault.name for fault in self.faults)

    def marked(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """An answer's body, which tells of them, unless it does so already."""
        injected = {} if not self.faults or "injected" in body else {"injected": self.names}
        before = {BEFORE: self.untold} if self.untold else {}
        return {**body, **injected, **before} if injected or before else body


NOTHING = Injected()


class Injector:
    """One service's faults. Safe to use from many threads, in the app's context."""

    def __init__(self, db: Database, store: FaultStore) -> None:
        self._db = db
        self._store = store

    def plan(self, requests: Sequence[StepRequest | None], *, of_messages: bool = False) -> list[Injected]:
        """What happens to each request, or to the message that it is on its way; to what is for no step, nothing.

        Of two alike, of the same saga, one suffers.
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
        """Of each request's step, what happened before and left no answer."""
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
        """Those of each request's faults that happen; each saga's, once among them."""
        pairs = [(request, fault) for request, faults in zip(requests, due, strict=True) for fault in faults]
        refusals = [pair for pair in pairs if pair[1].name is FaultName.REFUSE]
        refused = self._store.refuse(
            connection, {(request.saga_id, fault.step): refusal_of(request, fault) for request, fault in refusals}
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


def refusal_of(request: StepRequest, fault: Fault) -> dict[str, Any]:
    """The problem with which a step is refused."""
    return problem(409, f"{fault.step} of saga {request.saga_id} was refused on purpose", FaultName.REFUSE)


def problem(status: int, detail: str, name: str) -> dict[str, Any]:
    """A problem that says that it was injected."""
    return http_problem(status, detail, injected=name)


def prevention(name: FaultName) -> dict[str, Any]:
    """The problem of a request that a fault kept from being looked at."""
    if name is FaultName.UNAVAILABLE:
        return problem(503, "not available, on purpose", name)
    return problem(500, "the compensation failed, on purpose", name)


def _due(request: StepRequest, switches: Sequence[Fault]) -> list[Fault]:
    """The faults that are for the request: its saga's own, then those that are switched on, one of each name."""
    found: Mapping[FaultName, Fault] = {
        fault.name: fault for fault in (*reversed(switches), *reversed(request.faults)) if request.suffers(fault)
    }
    return list(found.values())


def _preventing(faults: Sequence[Fault]) -> list[Fault]:
    """Those for which a step is not done: while one of them happens, none of the others is counted."""
    return [fault for fault in faults if fault.prevents]


def _others(faults: Sequence[Fault]) -> list[Fault]:
    return [fault for fault in faults if not fault.prevents]


def _key(request: StepRequest, fault: Fault) -> Key:
    return request.saga_id, fault.step, fault.name.value


def _taken(keys: set[Key], key: Key) -> bool:
    """Whether the key is among these, which it is not any more after this."""
    if key not in keys:
        return False
    keys.remove(key)
    return True

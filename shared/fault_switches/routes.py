"""`/faults`: switches faults on and off for all sagas, and shows which happened. Exists only with `FAULTS=true`."""

from typing import Annotated
from uuid import UUID

from flask import Response
from flask_openapi import APIBlueprint
from pydantic import Field
from sqlalchemy import Connection

from shared.database.connections import Database
from shared.fault_switches.model import (
    MAX_MILLISECONDS,
    MAX_TIMES,
    OF_MESSAGES,
    Fault,
    FaultName,
    InvalidFault,
    KillPoint,
)
from shared.fault_switches.steps import requested_by, steps_of
from shared.fault_switches.store import FaultStore
from shared.http.access import admin_only
from shared.http.answers import Answer, respond
from shared.http.schemas import Body, PaymentMethod, Text, Time, UserId, View

LATER_BY = "of `slow` and `delay_message`; 1000 if left out"


class MatchIn(Body):
    """The fields that a request must have for the fault to happen to it."""

    user_id: UserId | None = None
    cart_id: UUID | None = None
    payment_method: PaymentMethod | None = None


class FaultIn(Body):
    """A step (none for `pause_consumer`), and how often it happens to each saga: every time, if `times` is left out."""

    step: Annotated[Text, Field(max_length=40)] = ""
    times: int | None = Field(default=None, ge=1, le=MAX_TIMES)
    milliseconds: int | None = Field(default=None, ge=1, le=MAX_MILLISECONDS, description=LATER_BY)
    point: KillPoint | None = Field(default=None, description="of `kill`; `after` its commit if left out")
    match: MatchIn = MatchIn()


class FaultPath(Body):
    """A fault."""

    name: FaultName


class FaultsQuery(Body):
    """The saga whose faults are shown."""

    saga_id: UUID | None = None


class SwitchOut(View):
    """A fault that is switched on."""

    name: FaultName
    step: str
    times: int | None
    milliseconds: int | None
    point: KillPoint | None
    match: dict[str, str]


class FiredOut(View):
    """A fault that happened to a step of a saga, how often, and when last."""

    saga_id: UUID
    step: str
    name: FaultName
    fired: int
    fired_at: Time


class FaultsOut(View):
    """The steps that can be made to fail here: the service's own, and those that its messages request.

    Then the faults that are switched on, and those that happened lately.
    """

    steps: list[str]
    messages: list[str]
    items: list[SwitchOut]
    fired: list[FiredOut]


def fault_routes(db: Database, store: FaultStore) -> APIBlueprint:
    """Create a service's `/faults`."""
    steps, messages = steps_of(db.service), requested_by(db.service)
    routes = APIBlueprint("faults", __name__, url_prefix="/faults")

    def shown(connection: Connection, saga_id: UUID | None = None) -> Response:
        items = [SwitchOut.model_validate(fault) for fault in store.switched_on(connection)]
        fired = [FiredOut.model_validate(dict(row)) for row in store.fired(connection, saga_id)]
        return respond(Answer(FaultsOut(steps=list(steps), messages=list(messages), items=items, fired=fired)))

    @routes.get("", summary="What is switched on, and what happened", responses={200: FaultsOut})
    @admin_only
    def get_faults(query: FaultsQuery) -> Response:
        """The faults that happened, newest first; with `saga_id`, those of one saga."""
        with db.transaction() as connection:
            return shown(connection, query.saga_id)

    @routes.put("/<name>", summary="Switch a fault on", responses={200: FaultsOut})
    @admin_only
    def put_fault(path: FaultPath, body: FaultIn) -> Response:
        """Switch the fault on for all sagas; it replaces one with the same name."""
        match = {name: str(value) for name, value in body.match if value is not None}
        known = messages if path.name in OF_MESSAGES else steps
        if body.step and body.step not in known:
            raise InvalidFault(f"{path.name} of {db.service} is for one of {', '.join(known)}", field="step")
        fault = Fault(body.step, path.name, body.times, body.milliseconds, body.point, match)
        with db.transaction() as connection:
            store.put(connection, fault)
            return shown(connection)

    @routes.delete("/<name>", summary="Switch a fault off", responses={200: FaultsOut})
    @admin_only
    def delete_fault(path: FaultPath) -> Response:
        """Switch the fault off. Faults that sagas have of their own stay."""
        with db.transaction() as connection:
            store.lift(connection, [path.name])
            return shown(connection)

    @routes.delete("", summary="Switch all faults off", responses={200: FaultsOut})
    @admin_only
    def delete_faults() -> Response:
        """Switch all faults off. Faults that sagas have of their own stay."""
        with db.transaction() as connection:
            store.lift(connection, list(FaultName))
            return shown(connection)

    return routes

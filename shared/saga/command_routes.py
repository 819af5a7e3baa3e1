"""The HTTP side of a service's commands: each step's own endpoint, and `POST /saga-commands` for many at once."""

from functools import partial
from typing import Any

from flask import Response, current_app
from flask_openapi import APIBlueprint
from pydantic import BaseModel, Field

from shared.fault_switches.commands import EXTENSION, CommandFaults
from shared.http.access import services_only
from shared.http.answers import Answer, respond
from shared.http.openapi import batch_of, idempotent
from shared.http.schemas import Body, NoBody, View
from shared.saga.command_batch import CommandIn, run
from shared.saga.commands import NO_IDS, CommandRequest, Commands, StepEndpoint

MAX_COMMANDS = 100  # in one request; more save nothing, and make other requests wait longer


class CommandsIn(Body):
    """Commands that do not depend on each other; they are done in any order."""

    commands: list[CommandIn] = Field(min_length=1, max_length=MAX_COMMANDS)


class OutcomeOut(View):
    """The answer that the command's own endpoint would give."""

    status: int
    body: dict[str, Any]


class OutcomesOut(View):
    """An outcome for each command, in their order."""

    outcomes: list[OutcomeOut]


def command_routes(commands: Commands) -> APIBlueprint:
    """Return the endpoints of these commands, and `POST /saga-commands`."""
    routes = APIBlueprint("saga_commands", __name__)
    for endpoint in commands.endpoints:
        _add_endpoint(routes, endpoint)
    description = (
        "Each command has the path and the body that its own endpoint takes, and gets that endpoint's answer. A command"
        f" that is refused or invalid affects no other. May be repeated. Paths: {', '.join(commands.templates)}."
    )

    @routes.post(
        "/saga-commands",
        summary="Do the commands of many sagas",
        description=description,
        responses={200: OutcomesOut},
        openapi_extensions=batch_of(commands.templates),
    )
    @services_only
    def do_commands(body: CommandsIn) -> Response:
        faults: CommandFaults | None = current_app.extensions.get(EXTENSION)
        run_commands = partial(run, commands)
        run_all = run_commands if faults is None else partial(faults.run, run_commands)
        return respond(Answer({"outcomes": run_all(body.commands)}))

    return routes


def _add_endpoint(routes: APIBlueprint, endpoint: StepEndpoint) -> None:
    def view(body: BaseModel, path: BaseModel = NO_IDS) -> Response:
        return endpoint.answer(CommandRequest(body, path))

    # The OpenAPI document takes the function's docstring and annotations.
    view.__name__, view.__doc__ = endpoint.name, endpoint.description
    view.__annotations__ = {"body": endpoint.body, "return": Response}
    if endpoint.path is not NoBody:
        view.__annotations__["path"] = endpoint.path
    routes.post(
        endpoint.template.replace("{", "<").replace("}", ">"),
        summary=endpoint.summary,
        responses=dict(endpoint.responses),
        openapi_extensions=None if endpoint.idempotency is None else idempotent(),
    )(services_only(view))

"""Faults of a service's endpoints: they happen before a step's request is handled, or after its answer is made."""

import errno
import os
import signal
import time
from collections.abc import Iterator

import structlog
from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from shared.fault_switches.header import current_fault, faults_of
from shared.fault_switches.injector import NOTHING, Injected, Injector, prevention
from shared.fault_switches.model import FaultName, KillPoint
from shared.fault_switches.steps import Half, StepRequest, step_request
from shared.http.answers import problem_response
from shared.json_codec import body as json_body
from shared.json_codec import loads

log = structlog.get_logger()


def install(app: Flask, injector: Injector, endpoints: dict[str, Half]) -> None:
    """Make faults happen to requests of these URL rules."""

    @app.before_request
    def before() -> Response | None:
        found = _step_request(endpoints)
        if found is None:
            return None
        [g.injected] = injector.plan([found])
        return _begin(g.injected)

    @app.after_request
    def after(response: Response) -> Response:
        return _end(g.pop("injected", NOTHING), response)


def _step_request(endpoints: dict[str, Half]) -> StepRequest | None:
    half = endpoints.get(request.url_rule.rule) if request.url_rule and request.method == "POST" else None
    if half is None:
        return None
    try:
        return step_request(half, request.get_json(), faults_of(current_fault()))
    except HTTPException:
        return None  # an invalid body, which the handler answers


def _begin(injected: Injected) -> Response | None:
    """Return the answer to a request that a fault prevents; None when it is to be handled."""
    if injected.faults:
        log.warning("injected", faults=injected.names, path=request.path)
    die_if(injected, KillPoint.BEFORE)
    if injected.prevented is not None:
        return problem_response(prevention(injected.prevented))
    slow = injected.get(FaultName.SLOW)
    if slow is not None:
        time.sleep(slow.seconds)
    return None


def _end(injected: Injected, response: Response) -> Response:
    if injected == NOTHING:
        return response
    die_if(injected, KillPoint.AFTER)
    if injected.get(FaultName.LOSE_ANSWER) is not None:
        return Response(_broken_off())
    response.set_data(json_body(injected.marked(loads(response.get_data()))))
    return response


def die_if(injected: Injected, point: KillPoint) -> None:
    """Kill the process, as a crash would, if a fault says so for this point."""
    kill = injected.get(FaultName.KILL)
    if kill is not None and (kill.point or KillPoint.AFTER) is point:
        os.kill(os.getpid(), signal.SIGKILL)


def _broken_off() -> Iterator[bytes]:
    """An empty answer: the server takes the error for a lost client, and closes the connection."""
    raise ConnectionResetError(errno.ECONNRESET, "the answer was lost on purpose")
    yield b""

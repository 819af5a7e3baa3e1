"""Faults of a service's own endpoints: what happens before a step's request is handled, and after it was answered."""

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
    """Have the faults happen to requests of these rules (as Flask has them)."""

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
        return None  # it does not fit, as its handler will say


def _begin(injected: Injected) -> Response | None:
    """The answer of a request that is not handled; None for one that is."""
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
    """End the process here if that is what happens: no clean-up, as in a crash."""
    kill = injected.get(FaultName.KILL)
    if kill is not None and (kill.point or KillPoint.AFTER) is point:
        os.kill(os.getpid(), signal.SIGKILL)


def _broken_off() -> Iterator[bytes]:
    """An answer of which nothing leaves: the server takes the error for a client that is gone, and hangs up."""
    raise ConnectionResetError(errno.ECONNRESET, "the answer was lost on purpose")
    yield b""

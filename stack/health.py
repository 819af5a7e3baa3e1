"""Tells whether a process is well: by `/health` of a web process, by the heartbeat of a worker."""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.process import heartbeat
from stack.home import Home
from stack.ports import HOST
from stack.processes import Process
from stack.supervision import Supervisor

ANSWER_SECONDS = 5.0  # /health itself stops waiting for a dependency after two


Info = Mapping[str, Any]  # what supervisord knows of a process


@dataclass(frozen=True)
class Condition:
    """The condition of a process for people: one word, and the reason if it is not well."""

    state: str
    reason: str = ""


RUNNING, STARTING = Condition("running"), Condition("starting")


def condition(home: Home, process: Process, told: Mapping[str, str], instance: str, info: Info) -> Condition:
    """Return a process's condition: `running` (it is well), `unwell` (it reports a reason) or `hung` (it is silent).

    Of a process that does not run it is supervisord's state.
    """
    if info["statename"] != "RUNNING":
        return Condition(str(info["statename"]).lower())
    if process.worker and Supervisor(home).hears_beats(instance):
        return _of_worker(home.heartbeat(instance), float(info["start"]))
    if process.server or process.worker:
        return RUNNING
    return _of_web(int(told[process.port_setting]))


def _of_worker(file: Path, started: float) -> Condition:
    try:
        trouble = heartbeat.trouble(file, since=started)
    except LookupError:
        return STARTING
    if trouble is None:
        return RUNNING
    return Condition("hung" if trouble.hangs else "unwell", trouble.reason)


def is_well(port: int) -> bool:
    """Whether a web process on this port answers that it is well."""
    return _of_web(port) == RUNNING


def _of_web(port: int) -> Condition:
    connection = http.client.HTTPConnection(HOST, port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", "/health")
        answer = connection.getresponse()
        return RUNNING if answer.status == 200 else Condition("unwell", _reason(answer.read()))
    except ConnectionRefusedError:
        return STARTING
    except (OSError, http.client.HTTPException) as error:
        return Condition("hung", f"no answer from http://{HOST}:{port}/health ({error or type(error).__name__})")
    finally:
        connection.close()


def _reason(body: bytes) -> str:
    """The reason that /health gives for a missing dependency."""
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, LookupError, TypeError):
        return body.decode(errors="replace")[:200]

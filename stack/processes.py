"""Every process of the local stack: the architecture at a glance.

The supervisor runs this list; tests start single processes of it with ports and environments of their own.
A new process is one more entry.
"""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Process:
    """One program that runs while the stack is up. `{port}` in its command is replaced when it starts."""

    name: str
    purpose: str
    command: tuple[str, ...]
    ports: Mapping[str, int] = field(default_factory=dict)  # setting -> well-known port (0: any free), main one first
    url_setting: str = ""  # the variable by which other processes find it
    package: str = ""  # the package whose migrations run before it starts; empty without data
    copies: int = 1
    server: bool = False  # whether other processes need it before they can start
    engine: str = ""  # the SAGA_ENGINE for which it is needed; empty: all of them
    stop_signal: str = "TERM"
    stop_seconds: int = 30  # after so long it is killed

    @property
    def worker(self) -> bool:
        """Whether it is a worker: no other process calls it, and a heartbeat shows that it is well."""
        return not self.server and not self.ports

    @property
    def port_setting(self) -> str:
        """The variable that chooses the main port; empty without one."""
        return next(iter(self.ports), "")

    def argv(self, port: int | None = None) -> list[str]:
        """Return the command to run, on this port or on the well-known one."""
        port = port or self.ports.get(self.port_setting)
        return [sys.executable, *(word.format(port=port) for word in self.command)]

    def instances(self) -> list[str]:
        """Return a name for each copy."""
        return [self.name] if self.copies == 1 else [f"{self.name}-{n}" for n in range(1, self.copies + 1)]


def _web(name: str, port: int, url_setting: str, purpose: str, *, keeps_data: bool = True) -> Process:
    gunicorn = ("-m", "gunicorn", "--config", "shared/http/gunicorn_conf.py", "--bind", "127.0.0.1:{port}")
    port_setting = url_setting.removesuffix("_URL").removesuffix("_SERVICE") + "_PORT"
    return Process(
        name, purpose, (*gunicorn, f"{name}.app:app"), {port_setting: port}, url_setting, name if keeps_data else ""
    )


def _worker(name: str, purpose: str, copies: int = 1) -> Process:
    return Process(f"{name}-worker", purpose, ("-m", f"{name}.worker"), package=name, copies=copies)


PROCESSES = {
    process.name: process
    for process in (
        Process(
            "postgres",
            "all data: a schema and a role for each service",
            ("-m", "stack.postgres"),
            {"POSTGRES_PORT": 5432},
            "DATABASE_URL",
            server=True,
            stop_signal="INT",  # PostgreSQL's fast shutdown: does not wait for clients, and leaves a clean cluster
            stop_seconds=60,
        ),
        Process(
            "rabbitmq",
            "the events between the services; its management page",
            ("-m", "stack.rabbitmq"),
            # Only RabbitMQ and its tools use the last two.
            {"RABBITMQ_PORT": 5672, "RABBITMQ_MANAGEMENT_PORT": 15672, "RABBITMQ_DIST_PORT": 0, "ERL_EPMD_PORT": 0},
            "RABBITMQ_URL",
            server=True,
        ),
        Process(
            "temporal",
            "keeps and drives the orchestrated sagas, with SAGA_ENGINE=temporal",
            ("-m", "stack.temporal"),
            {"TEMPORAL_PORT": 7233, "TEMPORAL_HTTP_PORT": 0, "TEMPORAL_METRICS_PORT": 0},
            "TEMPORAL_ADDRESS",
            server=True,
            engine="temporal",
        ),
        _web("carrito", 3000, "CARRITO_SERVICE_URL", "carts and orders; where a checkout begins"),
        _web("inventario", 3001, "INVENTARIO_SERVICE_URL", "products, stock and its reservations"),
        _web("pagos", 3002, "PAGOS_SERVICE_URL", "payments, refunds, wallets and the ledger"),
        _web("saga_orchestrator", 3003, "ORCHESTRATOR_URL", "orchestrated checkouts: start, watch, undo"),
        _web("saga_choreography", 3004, "CHOREOGRAPHY_URL", "choreographed checkouts: start, watch, undo"),
        _web("dashboard", 8080, "DASHBOARD_URL", "shows the sagas of both styles to people", keeps_data=False),
        # A participant's worker handles the events of its subscription, and publishes the participant's events.
        _worker("carrito", "reacts with orders and ends checkouts; hands over those that were left over"),
        _worker("inventario", "reacts with stock; returns expired holds to the shelves"),
        _worker("pagos", "reacts with payments and refunds"),
        _worker("saga_orchestrator", "runs the orchestrated checkouts' steps", copies=2),
        _worker("saga_choreography", "shows what the events tell; watches deadlines"),
    )
}


def select(only: Iterable[str] | None = None, engine: str = "") -> list[Process]:
    """Return the processes with these names, in the list's order; without names, all that are needed with an engine."""
    needed = (name for name, process in PROCESSES.items() if process.engine in {"", engine})
    names = set(needed if only is None else only)
    return [process for name, process in PROCESSES.items() if name in names]

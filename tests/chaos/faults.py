"""All faults of a shop: in its processes, its servers, its connections, and what is sent over them."""

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import product

from sqlalchemy import make_url

from tests.e2e.shop import CARRITO, CHOREOGRAPHY, INVENTARIO, ORCHESTRATOR, PAGOS, Shop
from tests.e2e.wire import Wire
from tests.system.brokers import OwnBroker
from tests.system.own_postgres import OwnPostgres
from tests.system.running import RunningSystem
from tests.system.temporal import OwnTemporal

URL_SETTINGS = {
    CARRITO: "CARRITO_SERVICE_URL",
    INVENTARIO: "INVENTARIO_SERVICE_URL",
    PAGOS: "PAGOS_SERVICE_URL",
    ORCHESTRATOR: "ORCHESTRATOR_URL",
    CHOREOGRAPHY: "CHOREOGRAPHY_URL",
}
WORKERS = (CARRITO, INVENTARIO, PAGOS, CHOREOGRAPHY)
POINTS = ("before_commit", "before_ack", "before_marking")  # the points at which a crash could lose most
FROZEN = 3  # processes frozen in each turn
LASTING_SECONDS = 2.5  # longer than a lease (1 s) and a call (2 s) of these shops
LOST_EVERY = 3  # of so many requests one is lost, so that sagas stop at any step


@dataclass(frozen=True)
class Fault:
    """A fault of some kind; `strike` returns when it is over."""

    kind: str
    strike: Callable[[], None]


class Wires:
    """A wire in front of each service, used by customers and the other services; a context manager."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._wires = {name: Wire() for name in URL_SETTINGS}

    def __enter__(self) -> "Wires":
        for wire in self._wires.values():
            self._stack.enter_context(wire)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def env(self) -> Mapping[str, str]:
        """Return settings that make the services call each other over the wires."""
        return {URL_SETTINGS[name]: wire.url for name, wire in self._wires.items()}

    def shop(self, system: RunningSystem, database_url: str) -> Shop:
        """Return the shop as its customers reach it: over the wires."""
        for name, wire in self._wires.items():
            wire.target = system.url(name)
        return Shop(system, database_url, {name: wire.url for name, wire in self._wires.items()})

    @contextmanager
    def losing(self, where: str) -> Iterator[None]:
        """Lose some requests to each service, or their answers, during the block."""
        with ExitStack() as stack:
            for wire in self._wires.values():
                stack.enter_context(wire.lose(".*", where, LOST_EVERY))
            yield


class Faults:
    """All faults of a shop, in turns: each turn kills every process and has every other kind of fault."""

    def __init__(
        self,
        shop: Shop,
        postgres: OwnPostgres,
        rabbitmq: OwnBroker,
        wires: Wires,
        chance: random.Random,
        *,
        temporal: OwnTemporal | None = None,
    ) -> None:
        """`temporal` is the server on which the shop's orchestrated sagas run, if they do."""
        self._shop, self._postgres, self._rabbitmq, self._wires, self._chance = shop, postgres, rabbitmq, wires, chance
        self._temporal = temporal

    def __iter__(self) -> Iterator[Fault]:
        """Yield faults without end."""
        while True:
            turn = [*self._of_processes(), *self._of_postgres(), *self._of_rabbitmq(), *self._of_wires()]
            turn += self._of_temporal()
            self._chance.shuffle(turn)
            yield from turn

    def _of_processes(self) -> Iterator[Fault]:
        names = self._shop.system.names
        for name in names:
            yield Fault("process killed", partial(self._shop.restart, name))
        for service, point in self._chance.sample(list(product(WORKERS, POINTS)), len(WORKERS)):
            when = {"FAULT_KILL_AT": f"{service}.worker.{point}#2"}
            # It is killed now. Its successor dies at this point, unless another fault kills it before.
            yield Fault("process killed", partial(self._shop.restart, f"{service}-worker", **when))
        for name in self._chance.sample(names, FROZEN):
            yield Fault("process frozen", partial(self._freeze, name))

    def _of_postgres(self) -> Sequence[Fault]:
        database = str(make_url(self._shop.database_url).database)
        return (
            Fault("PostgreSQL restarted", self._restart_postgres),
            Fault("PostgreSQL killed", self._kill_postgres),
            Fault("PostgreSQL frozen", self._freeze_postgres),
            Fault("connections to PostgreSQL ended", partial(self._postgres.cut_off, database)),
        )

    def _of_rabbitmq(self) -> Sequence[Fault]:
        close = partial(self._rabbitmq.control, "close_all_connections", "because of a test")
        return (
            Fault("RabbitMQ restarted", self._rabbitmq.restart),
            Fault("RabbitMQ killed", self._kill_rabbitmq),
            Fault("RabbitMQ frozen", self._freeze_rabbitmq),
            Fault("connections to RabbitMQ ended", close),
        )

    def _of_temporal(self) -> Iterator[Fault]:
        if self._temporal is not None:
            yield Fault("Temporal restarted", partial(self._restart_temporal, self._temporal))
            yield Fault("Temporal killed", partial(self._kill_temporal, self._temporal))
            yield Fault("Temporal frozen", partial(self._freeze_temporal, self._temporal))

    def _of_wires(self) -> Iterator[Fault]:
        for where in ("request", "answer"):
            yield Fault(f"{where}s lost", partial(self._lose, where))

    def _freeze(self, name: str) -> None:
        with suppress(ProcessLookupError):  # it may be dying of a fault at this moment
            self._shop.system.freeze(name)
            time.sleep(LASTING_SECONDS)
            self._shop.system.thaw(name)

    def _restart_postgres(self) -> None:
        self._postgres.stop()
        self._postgres.start()

    def _kill_postgres(self) -> None:
        self._postgres.kill()
        self._postgres.start()

    def _freeze_postgres(self) -> None:
        with self._postgres.frozen():
            time.sleep(LASTING_SECONDS)

    def _kill_rabbitmq(self) -> None:
        self._rabbitmq.kill()
        self._rabbitmq.start()

    def _freeze_rabbitmq(self) -> None:
        self._rabbitmq.freeze()
        time.sleep(LASTING_SECONDS)
        self._rabbitmq.thaw()

    def _restart_temporal(self, temporal: OwnTemporal) -> None:
        temporal.stop()
        temporal.start()

    def _kill_temporal(self, temporal: OwnTemporal) -> None:
        temporal.kill()
        temporal.start()

    def _freeze_temporal(self, temporal: OwnTemporal) -> None:
        with temporal.frozen():
            time.sleep(LASTING_SECONDS)

    def _lose(self, where: str) -> None:
        with self._wires.losing(where):
            time.sleep(LASTING_SECONDS)

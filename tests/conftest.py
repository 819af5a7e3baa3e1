"""Fixtures for every test: a PostgreSQL and a RabbitMQ for the run, test clients of the services, running systems.

database_url        this worker's database, migrated; shared by its tests, which use products and sagas of their own
fresh_database_url  a database for one test alone, for what looks at totals
rabbitmq_url        a broker for one test alone: a virtual host of the run's server
own_rabbitmq        a server that its module's tests may stop, kill and freeze
service_client      service_client("inventario", hold_seconds=1) -> a Flask test client on `database_url`
start_system        start_system(processes=[…], copies={…}, env={…}) -> RunningSystem of real processes; with
                    rabbitmq_url=…, also of those that choreographed checkouts need
"""

import importlib
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import Phase, settings

from shared.saga.setup import EXTENSION
from tests.mutants.checkout import UNSHRUNK
from tests.system import temporal
from tests.system.brokers import Broker, NoBroker, OwnBroker, broker_of_run
from tests.system.running import RunningSystem, Spawner
from tests.system.servers import Databases, TestRun

_RUN = pytest.StashKey[TestRun]()
_SYSTEMS = pytest.StashKey[list[RunningSystem]]()


def pytest_configure(config: pytest.Config) -> None:
    """The run begins in the first process; those that pytest-xdist starts find it in their environment."""
    temporal.take_engine()
    here = "localhost,127.0.0.1,::1"  # what tests talk to is on this machine
    for name in ("no_proxy", "NO_PROXY"):
        os.environ[name] = ",".join(filter(None, [here, os.environ.get(name)]))
    if UNSHRUNK in os.environ:
        settings.register_profile(UNSHRUNK, phases=(Phase.explicit, Phase.reuse, Phase.generate))
        settings.load_profile(UNSHRUNK)
    if not hasattr(config, "workerinput"):
        config.stash[_RUN] = TestRun()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Nothing is left of the run, also after Ctrl-C."""
    if _RUN in config.stash:
        config.stash[_RUN].end()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows the logs of its processes."""
    report = yield
    if report.failed:
        for system in item.stash.get(_SYSTEMS, []):
            report.sections.extend((f"log of {name}", system.log(name)) for name in system.names)
    return report


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """The run's databases."""
    made = Databases()
    yield made
    made.close()


@pytest.fixture(scope="session")
def database_url(databases: Databases) -> str:
    """A migrated database that the tests of this worker share; nothing is emptied between them."""
    return databases.create()


@pytest.fixture
def fresh_database_url(databases: Databases) -> Iterator[str]:
    """A migrated database for this test alone."""
    url = databases.create()
    yield url
    databases.drop(url)


@pytest.fixture
def empty_database_url(databases: Databases) -> Iterator[str]:
    """A database without any schema."""
    url = databases.create(empty=True)
    yield url
    databases.drop(url)


@contextmanager
def _needing_rabbitmq() -> Iterator[None]:
    """Where no RabbitMQ is to be had, a laptop goes without these tests; CI fails."""
    try:
        yield
    except NoBroker as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def broker() -> Broker:
    """The run's RabbitMQ."""
    with _needing_rabbitmq():
        return broker_of_run()


@pytest.fixture
def rabbitmq_url(broker: Broker) -> Iterator[str]:
    """An empty virtual host for this test alone."""
    url = broker.create()
    yield url
    broker.drop(url)


@pytest.fixture(scope="session")
def _own_rabbitmq() -> Iterator[OwnBroker]:
    """One for each worker of the run, since it takes seconds to start."""
    with _needing_rabbitmq():
        broker = OwnBroker()
    yield broker
    broker.close()


@pytest.fixture(scope="module")
def own_rabbitmq(_own_rabbitmq: OwnBroker) -> OwnBroker:
    """A server that runs, and that nobody else uses while this module does."""
    _own_rabbitmq.start()
    return _own_rabbitmq


@pytest.fixture(scope="session")
def _shared_clients() -> Iterator[dict[str, FlaskClient]]:
    clients: dict[str, FlaskClient] = {}
    yield clients
    for client in clients.values():
        _dispose(client)


@pytest.fixture
def service_client(
    request: pytest.FixtureRequest, _shared_clients: dict[str, FlaskClient]
) -> Iterator[Callable[..., FlaskClient]]:
    """Makes a test client of a service's app by the service's name; safe to use from many threads.

    With a `database_url` or settings of its own the app is for this test alone, else the worker's tests share it.
    """
    own: list[FlaskClient] = []

    def client(name: str, database_url: str | None = None, **settings: Any) -> FlaskClient:
        shared = database_url is None and not settings
        if shared and name in _shared_clients:
            return _shared_clients[name]
        made = _client(name, database_url or request.getfixturevalue("database_url"), settings)
        if shared:
            _shared_clients[name] = made
        else:
            own.append(made)
        return made

    yield client
    for each in own:
        _dispose(each)


def _client(name: str, database_url: str, settings: dict[str, Any]) -> FlaskClient:
    settings_class = importlib.import_module(f"{name}.config").Settings
    url = {f"{name.upper()}_DATABASE_URL": database_url}
    app = importlib.import_module(f"{name}.app").create_app(settings_class(_env_file=None, **url, **settings))
    client: FlaskClient = app.test_client(use_cookies=False)
    return client


def _dispose(client: FlaskClient) -> None:
    if EXTENSION in client.application.extensions:
        client.application.extensions[EXTENSION].completions.close()
    with client.application.app_context():
        client.application.extensions["sqlalchemy"].engine.dispose()


@pytest.fixture(scope="session")
def _spawner() -> Iterator[Spawner]:
    spawner = Spawner()
    yield spawner
    spawner.close()


@pytest.fixture
def start_system(
    request: pytest.FixtureRequest, fresh_database_url: str, _spawner: Spawner, tmp_path: Path
) -> Iterator[Callable[..., RunningSystem]]:
    """Starts a `RunningSystem` on a database of this test's own; it ends with the test."""
    systems = request.node.stash.setdefault(_SYSTEMS, [])
    with ExitStack() as stack:

        def start(**how: Any) -> RunningSystem:
            folder = tmp_path / f"system-{len(systems)}"
            folder.mkdir()
            system = RunningSystem(_spawner, how.pop("database_url", fresh_database_url), folder, **how)
            systems.append(system)
            return stack.enter_context(system)

        yield start

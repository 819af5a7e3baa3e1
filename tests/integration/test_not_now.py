"""A database that is temporarily unavailable is told from an error, over HTTP and by consumers; on real servers."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Connection, Engine, create_engine, make_url, text
from sqlalchemy.pool import NullPool
from werkzeug.test import TestResponse

from carrito.domain import Product
from shared.event_bus import PAGOS, Event
from shared.ids import new_id
from shared.messaging import consumer
from shared.testing import concurrently, wait_until
from tests.integration.api_client import body_of, outcome, problem_of
from tests.integration.carrito_client import USER, Carrito, Catalogue
from tests.system.toy_room import Room
from tests.system.toys import reserved

NOT_NOW = ["08006", "25006", "40001", "40P01", "53100", "53300", "55P03", "57014", "58030"]
NO = ["23514", "54000", "XX000"]
POOL = 4


@pytest.fixture
def carrito(service_client: Callable[..., FlaskClient], fresh_database_url: str) -> Carrito:
    """carrito with few connections."""
    return Carrito(service_client("carrito", fresh_database_url, web_threads=POOL))


@pytest.fixture
def admin(fresh_database_url: str) -> Iterator[Engine]:
    """The database's owner, with a new connection each time."""
    engine = create_engine(fresh_database_url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    yield engine
    engine.dispose()


def ask(admin: Engine, *statements: str) -> None:
    with admin.connect() as connection:
        connection.execute(text("SET default_transaction_read_only = off"))
        for statement in statements:
            connection.exec_driver_sql(statement)


@contextmanager
def failing(admin: Engine, table: str, code: str, *, at_commit: bool = False, when: str = "true") -> Iterator[None]:
    """Have the server raise this SQLSTATE for whoever inserts such a row."""
    moment = "CONSTRAINT TRIGGER fail AFTER" if at_commit else "TRIGGER fail BEFORE"
    late = "DEFERRABLE INITIALLY DEFERRED" if at_commit else ""
    ask(
        admin,
        "CREATE OR REPLACE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION 'said so' USING ERRCODE = '{code}'; END $$",
        f"CREATE {moment} INSERT ON {table} {late} FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION public.fail()",
    )
    yield
    ask(admin, f"DROP TRIGGER fail ON {table}")


def read_only(admin: Engine, setting: str) -> None:
    """Make the server read-only as a failover does: sessions end, and new ones are read-only."""
    database = admin.url.database
    ask(
        admin,
        f'ALTER DATABASE "{database}" {setting}',
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        f" WHERE datname = '{database}' AND pid <> pg_backend_pid()",
    )


def assert_later(response: TestResponse, status: int = 503) -> None:
    assert problem_of(response)["status"] == status
    assert response.headers["Retry-After"] == "1"


def carts(admin: Engine) -> int:
    with admin.connect() as connection:
        return int(connection.scalar(text("SELECT count(*) FROM carrito.carts")) or 0)


@pytest.mark.parametrize("code", NOT_NOW)
@pytest.mark.parametrize("at_commit", [False, True], ids=["statement", "commit"])
def test_what_may_succeed_later_is_503_and_then_succeeds(
    carrito: Carrito, admin: Engine, code: str, at_commit: bool
) -> None:
    key = str(new_id())
    with failing(admin, "carrito.carts", code, at_commit=at_commit):
        response = carrito.post("/carts", {"user_id": USER}, key)
        in_doubt = at_commit and code in {"08006", "58030"}
        assert_later(response, 504 if in_doubt else 503)
        assert carts(admin) == 0
    assert carrito.post("/carts", {"user_id": USER}, key).status_code == 201
    assert carts(admin) == 1


@pytest.mark.parametrize("code", NO)
def test_what_never_will_is_not_said_to_be_for_later(carrito: Carrito, admin: Engine, code: str) -> None:
    with failing(admin, "carrito.carts", code):
        response = carrito.post("/carts", {"user_id": USER})
        assert problem_of(response)["status"] == 500
        assert "Retry-After" not in response.headers


def test_a_read_only_database_is_not_now_and_health_says_so(carrito: Carrito, admin: Engine) -> None:
    cart_id = carrito.open_cart()
    read_only(admin, "SET default_transaction_read_only = on")
    for _ in range(2 * POOL):
        assert_later(carrito.post("/carts", {"user_id": USER}))
    assert carrito.get(f"/carts/{cart_id}").status_code == 200
    health = carrito.get("/health")
    assert_later(health)
    assert body_of(health)["dependencies"]["database"] == "the database is read-only"


def test_no_connection_to_a_read_only_server_is_used_twice(carrito: Carrito, admin: Engine) -> None:
    """The server accepts writes again, and sessions that found it read-only are still open, as after a failover."""
    ask(admin, f'ALTER DATABASE "{admin.url.database}" SET default_transaction_read_only = on')
    concurrently(*[lambda: carrito.get(f"/carts/{new_id()}")] * (4 * POOL))
    assert_later(carrito.post("/carts", {"user_id": USER}))
    ask(admin, f'ALTER DATABASE "{admin.url.database}" RESET default_transaction_read_only')
    answers = concurrently(*[lambda: carrito.post("/carts", {"user_id": USER})] * POOL)
    assert {answer.status_code for answer in answers} == {201}


def test_who_finds_no_connection_left_is_told_so(
    service_client: Callable[..., FlaskClient], fresh_database_url: str, admin: Engine
) -> None:
    """The server has no connection left for this login."""
    login = f"guest_{new_id().hex}"
    ask(admin, f"CREATE ROLE {login} LOGIN PASSWORD 'x' CONNECTION LIMIT 0 IN ROLE carrito")
    url = make_url(fresh_database_url).set(username=login, password="x").render_as_string(hide_password=False)
    carrito = Carrito(service_client("carrito", url))
    assert_later(carrito.post("/carts", {"user_id": USER}))
    assert "too many connections" in body_of(carrito.get("/health"))["dependencies"]["database"]
    ask(admin, f"DROP ROLE {login}")


def test_every_connection_killed_again_and_again_leaves_no_other_answer(carrito: Carrito, admin: Engine) -> None:
    stop = threading.Event()

    def kill() -> None:
        while not stop.is_set():
            ask(
                admin,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                f" WHERE datname = '{admin.url.database}' AND pid <> pg_backend_pid()",
            )

    def open_carts() -> set[int]:
        return {carrito.post("/carts", {"user_id": USER}).status_code for _ in range(40)}

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        statuses = set().union(*concurrently(*[open_carts] * POOL, seconds=120))
    finally:
        stop.set()
        killer.join()
    assert statuses <= {201, 503, 504}
    assert carrito.post("/carts", {"user_id": USER}).status_code == 201


# The answer under a key is stored in the transaction of its effect.


def test_an_effect_whose_answer_cannot_be_kept_is_undone(carrito: Carrito, admin: Engine) -> None:
    with failing(admin, "carrito.idempotency_keys", "53100"):
        assert_later(carrito.post("/carts", {"user_id": USER}, str(new_id())))
    assert carts(admin) == 0


def test_an_answer_whose_effect_is_undone_is_not_kept(carrito: Carrito, admin: Engine) -> None:
    key = str(new_id())
    with failing(admin, "carrito.carts", "53100", at_commit=True):
        assert_later(carrito.post("/carts", {"user_id": USER}, key))
    assert carrito.post("/carts", {"user_id": USER}, key).status_code == 201
    assert carts(admin) == 1


# No connection is held during a call of another service.


class HeldCatalogue(Catalogue):
    """A frozen inventario: each request waits."""

    def __init__(self) -> None:
        self.requested = threading.Semaphore(0)
        self.thawed = threading.Event()

    def get_product(self, product_id: int) -> Product:
        self.requested.release()
        self.thawed.wait(60)
        return super().get_product(product_id)


def test_who_waits_for_inventario_keeps_no_connection_from_others(carrito: Carrito) -> None:
    carts_ = [carrito.open_cart() for _ in range(8 * POOL)]
    catalogue = HeldCatalogue()
    carrito.client.application.extensions["inventario_client"] = catalogue
    keys = [str(new_id()) for _ in carts_]
    answers: list[TestResponse] = []
    waiting = [
        threading.Thread(target=lambda each=each, key=key: answers.append(carrito.put(each, 1, 1, key)))
        for each, key in zip(carts_, keys, strict=True)
    ]
    for thread in waiting:
        thread.start()
    for _ in waiting:
        assert catalogue.requested.acquire(timeout=60)
    assert carrito.get("/health").status_code == 200
    assert carrito.post("/carts", {"user_id": USER}).status_code == 201
    catalogue.thawed.set()
    for thread in waiting:
        thread.join()
    assert [answer.status_code for answer in answers] == [201] * len(carts_)


def test_a_repeated_put_is_answered_without_asking_inventario(carrito: Carrito) -> None:
    cart_id, key = carrito.open_cart(), str(new_id())
    first = carrito.put(cart_id, 1, 1, key)
    carrito.client.application.extensions["inventario_client"] = None  # a call of it would fail
    assert outcome(carrito.put(cart_id, 1, 1, key)) == outcome(first)
    assert problem_of(carrito.put(cart_id, 1, 2, key))["status"] == 422


# Consumers.


@pytest.fixture
def toys_admin(room: Room) -> Iterator[Engine]:
    engine = create_engine(room.database_url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    yield engine
    engine.dispose()


@pytest.mark.parametrize("code", ["25006", "53100", "55P03"])
def test_a_consumer_waits_for_a_database_that_cannot_now_for_as_long_as_it_takes(
    room: Room, toys_admin: Engine, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For longer than the tries of a failing message: nothing is parked or lost."""
    monkeypatch.setattr(consumer, "MOST_HELD_UP_SECONDS", 0.5)  # tries are counted here, not the time between them
    tried: list[int] = []
    with failing(toys_admin, "pagos.effects", code):
        pagos = room[PAGOS]
        handle = pagos.subscription.handle

        def counted(connection: Connection, batch: Sequence[Event]) -> list[Event]:
            tried.append(len(batch))
            return handle(connection, batch)

        pagos.subscription = replace(pagos.subscription, handle=counted)
        room.run(PAGOS)
        events = room.publish(reserved())  # alone, so that each try is of one message
        wait_until(lambda: len(tried) > 6, "it was tried more often than what is parked", 60)
        assert room[PAGOS].acted() == {}
        assert room.queues.depth(f"{PAGOS}.dead") == 0
    room.wait_acted(PAGOS, events, 60)
    assert room.queues.depth(f"{PAGOS}.dead") == 0


def test_a_read_only_database_parks_nothing_and_ends_no_worker(room: Room, toys_admin: Engine) -> None:
    worker = room.spawn(PAGOS)
    room.wait_acted(PAGOS, room.publish(reserved()), 60)
    read_only(toys_admin, "SET default_transaction_read_only = on")
    events = room.publish(*(reserved() for _ in range(20)))
    wait_until(lambda: worker.log().count("database unavailable") > 4, "it has tried", 60)
    assert worker.status is None
    read_only(toys_admin, "RESET default_transaction_read_only")
    room.wait_acted(PAGOS, events, 60)
    assert room.queues.depth(f"{PAGOS}.dead") == 0


@contextmanager
def entered_elsewhere(room: Room, events: Sequence[Event]) -> Iterator[None]:
    """Insert the events' inbox rows in a session that does not end: other inserts wait."""
    engine = create_engine(room.database_url, poolclass=NullPool)
    with engine.connect() as session:
        for each in events:
            session.execute(text("INSERT INTO pagos.inbox (event_id) VALUES (:id)"), {"id": each.id})
        yield
        session.rollback()


def test_messages_whose_rows_are_locked_keep_no_other_waiting(room: Room) -> None:
    """However long that lasts; they are handled afterwards."""
    events = [Event(reserved()) for _ in range(100)]
    held_up = events[20:50:10]
    with entered_elsewhere(room, held_up):
        room.publish(*events)
        room.run(PAGOS)
        room.wait_acted(PAGOS, [event for event in events if event not in held_up], 120)
        room.wait_acted(PAGOS, room.publish(*(reserved() for _ in range(20))), 120)
        assert room[PAGOS].acted().keys().isdisjoint(event.saga_id for event in held_up)
    room.wait_acted(PAGOS, held_up, 120)
    room.wait_quiet(PAGOS, 120)
    assert set(room[PAGOS].acted().values()) == {1}
    assert room.queues.depth(f"{PAGOS}.dead") == 0


def test_a_deadlock_is_over_for_the_others_of_its_transaction(room: Room, toys_admin: Engine) -> None:
    """The server names one message's row only; the others are not tried with it again and again."""
    events = [Event(reserved()) for _ in range(20)]
    loser = events[7].saga_id
    with failing(toys_admin, "pagos.effects", "40P01", when=f"NEW.saga_id = '{loser}'"):
        room.publish(*events)
        room.run(PAGOS)
        room.wait_acted(PAGOS, [event for event in events if event.saga_id != loser], 60)
        assert loser not in room[PAGOS].acted()
    room.wait_acted(PAGOS, events, 60)
    assert room.queues.depth(f"{PAGOS}.dead") == 0

"""The cost of a health check, and the age of its result."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event

from shared.http.health import FRESH_SECONDS, SharedCheck
from shared.testing import concurrently, wait_until

ServiceClient = Callable[..., FlaskClient]
PROBES = 48
HANGING = 120.0  # seconds; only keeps a test from hanging


class FrozenBroker:
    """Accepts and counts connections, and sends nothing on them."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"amqp://guest:guest@127.0.0.1:{self._listener.getsockname()[1]}/"
        self.connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                self.connections.append(self._listener.accept()[0])
            except OSError:
                return

    def close(self) -> None:
        self._listener.close()
        for each in self.connections:
            each.close()


@pytest.fixture
def frozen_broker() -> Iterator[FrozenBroker]:
    with closing(FrozenBroker()) as broker:
        yield broker


def most_checks(began: float) -> float:
    """Return the most checks that may have run since then: one at first, and then one a second."""
    return 1 + (time.monotonic() - began) / FRESH_SECONDS


def test_probes_that_come_together_ask_a_frozen_broker_once(
    service_client: ServiceClient, database_url: str, frozen_broker: FrozenBroker
) -> None:
    inventario = service_client("inventario", database_url, rabbitmq_url=frozen_broker.url)
    began = time.monotonic()
    answers = concurrently(*[lambda: inventario.get("/health")] * PROBES, seconds=HANGING)
    assert len(frozen_broker.connections) <= most_checks(began)
    assert {answer.status_code for answer in answers} == {503}
    assert all(b"rabbitmq: no answer" in answer.data for answer in answers)


def test_probes_that_follow_each_other_ask_the_database_once_a_second(
    service_client: ServiceClient, fresh_database_url: str
) -> None:
    inventario = service_client("inventario", fresh_database_url)
    transactions: list[str] = []
    with inventario.application.app_context():
        engine = inventario.application.extensions["sqlalchemy"].engine
    event.listen(engine, "begin", lambda _: transactions.append("begin"))
    began = time.monotonic()
    for _ in range(PROBES):
        assert inventario.get("/health").status_code == 200
    assert len(transactions) <= most_checks(began)


class Checked:
    """A dependency whose check can be made to fail, or to last."""

    def __init__(self) -> None:
        self.wrong = ""
        self.checks = 0
        self.under_way = threading.Event()
        self.goes_on = threading.Event()
        self.goes_on.set()

    def check(self) -> None:
        self.checks += 1
        wrong = self.wrong
        self.under_way.set()
        assert self.goes_on.wait(HANGING)
        if wrong:
            raise ConnectionError(wrong)


def test_who_asks_while_a_check_is_under_way_has_the_result_before_it() -> None:
    checked = Checked()
    shared = SharedCheck(checked.check, fresh_seconds=0)
    assert shared.get() == "ok"
    checked.wrong = "gone"
    checked.goes_on.clear()
    checked.under_way.clear()
    states: list[str] = []
    first = threading.Thread(target=lambda: states.append(shared.get()))
    first.start()
    assert checked.under_way.wait(HANGING)
    assert [shared.get() for _ in range(5)] == ["ok"] * 5
    checked.goes_on.set()
    first.join(HANGING)
    assert states == ["gone"]
    assert checked.checks == 2


def test_who_asks_before_there_is_a_result_waits_for_the_first() -> None:
    checked = Checked()
    checked.wrong = "gone"
    checked.goes_on.clear()
    shared = SharedCheck(checked.check)
    states: list[str] = []
    asking = [threading.Thread(target=lambda: states.append(shared.get())) for _ in range(8)]
    for each in asking:
        each.start()
    assert checked.under_way.wait(HANGING)
    checked.goes_on.set()
    for each in asking:
        each.join(HANGING)
    assert states == ["gone"] * 8
    assert checked.checks == 1


def test_a_change_is_seen_when_the_result_is_no_longer_fresh() -> None:
    checked = Checked()
    shared = SharedCheck(checked.check, fresh_seconds=0.05)
    assert shared.get() == "ok"
    checked.wrong = "gone"
    wait_until(lambda: shared.get() == "gone", "it is seen", HANGING)
    checked.wrong = ""
    wait_until(lambda: shared.get() == "ok", "it is seen", HANGING)

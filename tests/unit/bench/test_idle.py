"""What an idle stack does, of real processes."""

from bench.cpu import wake_ups, with_backends
from bench.idle import Idle, measure
from tests.unit.bench.test_cpu import WAIT, python

NAPS = "import time\nfor _ in range(40): time.sleep(0.005)\n"


def test_a_process_that_sleeps_again_and_again_wakes_up_as_often() -> None:
    with python(NAPS + WAIT) as restless, python(WAIT) as idle:
        found = wake_ups({restless.pid: "restless", idle.pid: "idle"})
        assert found["restless"] - found["idle"] >= 30
        assert measure(lambda: {idle.pid: "idle"}, 0.05).wake_ups["idle"] == 0


def test_rows_are_per_second_the_busiest_first_and_all_at_the_end() -> None:
    idle = Idle(10, {"calm": 5, "busy": 100}, {"calm": 0.01, "busy": 0.2})
    assert list(idle.rows()) == [("busy", "10.0", "20.00"), ("calm", "0.5", "1.00"), ("all", "10.5", "21.00")]


def test_processes_of_postgresql_are_named_by_their_client() -> None:
    backends = {2: "carrito", 3: "", 4: "listen carrito_outbox"}
    named = {1: "postgres", 2: "postgres: carrito", 3: "postgres: other", 4: "postgres: listen"}
    assert with_backends({1: "postgres"}, backends) == named


def test_processes_of_a_server_that_is_not_the_stack_s_are_not_counted() -> None:
    assert with_backends({1: "carrito"}, {2: "carrito"}) == {1: "carrito"}

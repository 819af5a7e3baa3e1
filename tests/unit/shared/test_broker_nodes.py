"""`RABBITMQ_URL` with one host or several: how it is read, refused, shown, and gone through."""

import random
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pika
import pytest
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from structlog.testing import capture_logs

from shared import rabbitmq
from shared.broker_nodes import NodeRotation, node_urls, place
from shared.rabbitmq import Bus, ping
from shared.topology import Topology

THREE = "amqp://me:secret@a:5672,b:5673,c/shop?heartbeat=7"
NODES = [f"amqp://me:secret@{host}/shop?heartbeat=7" for host in ("a:5672", "b:5673", "c")]


def test_each_host_gets_the_login_the_virtual_host_and_the_options() -> None:
    assert node_urls(THREE) == NODES


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("amqp://host", ["amqp://host"]),
        ("amqps://a,b", ["amqps://a", "amqps://b"]),
        ("amqp://[::1]:5672,[::2]/x", ["amqp://[::1]:5672/x", "amqp://[::2]/x"]),
        ("amqp://me:p%40,ss@a,b/%2F", ["amqp://me:p%40,ss@a/%2F", "amqp://me:p%40,ss@b/%2F"]),
        ("amqp://me:p@ss@a", ["amqp://me:p@ss@a"]),
    ],
)
def test_one_host_is_a_list_of_one_and_a_login_may_have_commas(url: str, hosts: list[str]) -> None:
    assert node_urls(url) == hosts


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("redis://me:secret@a", "must be an amqp:// or amqps:// URL"),
        ("a:5672,b:5672", "must be an amqp:// or amqps:// URL"),
        ("amqp://", "must be an amqp:// or amqps:// URL"),
        ("amqp://me:secret@a,", "not ''"),
        ("amqp://me:secret@a,,b", "not ''"),
        ("amqp://me:secret@a, b", "not ' b'"),
        ("amqp://me:secret@a:0", "not 'a:0'"),
        ("amqp://me:secret@a:65536", "not 'a:65536'"),
        ("amqp://me:secret@a:port,b", "not 'a:port'"),
        ("amqp://me:secret@:5672", "not ':5672'"),
        ("amqp://a,amqp://b", "not 'amqp:'"),
        ("amqp://me:secret@a,me:secret@b", "one login"),
        ("amqp://me:sec/secret@a/%2F", "as %2F"),
        ("amqp://me:sec?secret@a/%2F", "as %2F"),
        ("amqp://me:sec#secret@a/%2F", "as %2F"),
        ("amqp://me:secret\uff1asecret@a/%2F", "must be an amqp:// or amqps:// URL"),
    ],
)
def test_what_is_wrong_is_named_without_the_login(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as refused:
        node_urls(url)
    assert "secret" not in str(refused.value)


def test_a_place_is_shown_without_the_login() -> None:
    assert place(THREE) == "a:5672,b:5673,c"


def test_all_nodes_are_tried_before_one_is_tried_again() -> None:
    nodes = NodeRotation(THREE)
    tried = []
    for _ in range(6):
        tried.append(nodes.url)
        nodes.failed()
    assert sorted(tried[:3]) == sorted(NODES)
    assert tried[3:] == tried[:3]
    assert nodes.rounds == 2
    nodes.connected()
    assert nodes.rounds == 0


def test_those_that_lose_a_node_spread_over_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.broker_nodes.random", random.Random(1))
    at_first, then = Counter[str](), Counter[str]()
    for _ in range(300):
        nodes = NodeRotation(THREE)
        at_first[nodes.url] += 1
        if nodes.url == NODES[0]:
            nodes.failed()
            then[nodes.url] += 1
    assert at_first.keys() == set(NODES)
    assert min(at_first.values()) > 70
    assert then.keys() == set(NODES[1:])
    assert min(then.values()) > 30


class Loop:
    """Notes in how many seconds the bus wants to be called; calls nothing."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def call_later(self, seconds: float, _: Callable[[], None]) -> None:
        self.seconds.append(seconds)


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The parameters of the connections that a bus has begun to open; none succeeds."""
    parameters: list[Any] = []

    def connect(its: pika.ConnectionParameters, **_: object) -> Any:
        parameters.append(its)
        ignore = lambda _: None  # noqa: E731
        return SimpleNamespace(
            add_on_connection_blocked_callback=ignore, add_on_connection_unblocked_callback=ignore, is_closed=True
        )

    monkeypatch.setattr(rabbitmq, "_Connection", connect)
    return parameters


def test_a_bus_goes_to_the_next_node_at_once_and_waits_longer_after_each_round(tried: list[Any]) -> None:
    loop: Any = Loop()
    bus = Bus(THREE, "pagos", loop, lambda: None, topology=Topology(), topology_seconds=60, prefetch=200)
    loop.seconds.clear()
    with capture_logs() as logs:
        for _ in range(9):
            bus.open()
            bus._try_again(ConnectionError("gone"))
    hosts = [each.host for each in tried]
    assert sorted(hosts[:3]) == ["a", "b", "c"]
    assert hosts == hosts[:3] * 3
    assert {each.heartbeat for each in tried} == {7}, "as the URL says"
    first, second, third = (loop.seconds[at : at + 3] for at in (0, 3, 6))
    assert min(first) >= 0.05
    assert max(first) <= 0.1 <= min(second)
    assert max(second) <= 0.2 <= min(third)
    assert {each["node"] for each in logs} == {"a:5672", "b:5673", "c"}
    assert "secret" not in str(logs)


def test_a_health_check_asks_the_other_nodes_when_one_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def connect(parameters: pika.ConnectionParameters) -> Any:
        asked.append(parameters.host)
        if len(asked) < 3:
            raise OSError("name not known") if len(asked) == 1 else AMQPConnectorException("refused")
        return SimpleNamespace(channel=lambda: calls, is_open=False)

    calls = SimpleNamespace(basic_publish=lambda *_: None, basic_qos=lambda **_: None)
    monkeypatch.setattr(pika, "BlockingConnection", connect)
    ping(THREE)
    assert sorted(asked) == ["a", "b", "c"]
    asked.clear()
    monkeypatch.setattr(pika, "BlockingConnection", lambda _: (_ for _ in ()).throw(OSError("down")))
    with pytest.raises(ConnectionError, match=r"^no answer from a:5672,b:5673,c: down$"):
        ping(THREE)

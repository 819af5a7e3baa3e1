"""Streams of changes, and the feeds behind them, without HTTP."""

import threading
from collections.abc import Mapping
from typing import Any

import pytest

from dashboard.app import create_app
from dashboard.config import Settings
from dashboard.feed import Feed
from dashboard.ring import Ring
from dashboard.service_client import Unreachable
from dashboard.streams import BEGINNING, STILL_HERE, Streams
from shared.testing import wait_until

HANGING = 60.0  # seconds; only keeps a test from hanging
QUICK = 0.01
RESET = "event: reset\nid: 7\ndata: {}\n\n"
POSITION = "7588888888888888888-16384-1.745.01a21726-0000-7000-8000-000000000001"


class Told:
    """A feed without changes; `reads` has the requested cursors."""

    def __init__(self) -> None:
        self.reads: list[str] = []

    def __call__(self, cursor: str, _: int) -> Mapping[str, Any]:
        self.reads.append(cursor)
        return {"items": [], "next": "7", "reset": False}


class Full:
    """A socket of a client that reads nothing."""

    unsent = b"what was sent before"

    def recv(self, *_: int) -> bytes:
        raise BlockingIOError


def test_changes_after_a_known_cursor_are_told_in_order() -> None:
    ring = Ring(3)
    ring.begin("c0")
    for number in range(1, 4):
        ring.add(f"c{number}", (f"saga {number}",))
    told = ring.since(ring.number_at("c1"))
    assert told is not None
    assert [change.sagas for change in told] == [("saga 2",), ("saga 3",)]
    assert ring.since(ring.number_at("c0")) is not None, "all of them"
    assert ring.since(ring.number_at("c3")) == []


def test_of_what_is_forgotten_nothing_is_told_and_that_is_said() -> None:
    ring = Ring(2)
    ring.begin("c0")
    began = ring.number_at("c0")
    for number in range(1, 4):
        ring.add(f"c{number}", ())
    assert ring.since(began) is None
    assert ring.number_at("c0") is None
    assert ring.number_at("c1") is not None, "who knows the last forgotten one has missed nothing of it"
    known = ring.number_at("c3")
    ring.begin("d0")
    assert ring.since(known) is None


def test_no_cursor_is_no_place_to_go_on_from() -> None:
    assert Ring(2).number_at("") is None


def test_while_nobody_looks_nobody_reads_the_feed() -> None:
    read = Told()
    news = threading.Condition()
    feed = Feed("quiet", read, news, threading.Event())
    assert read.reads == []
    with news:
        feed.join("")
    wait_until(lambda: len(read.reads) > 1, "the feed is read", HANGING)
    with news:
        feed.leave()
    wait_until(lambda: "feed-quiet" not in {each.name for each in threading.enumerate()}, "it ends", HANGING)
    with news:
        feed.join("7")
    wait_until(lambda: len(read.reads) > 3, "the feed is read again", HANGING)
    assert read.reads == ["", *["7"] * (len(read.reads) - 1)], "and goes on where it was"
    with news:
        feed.leave()


def test_a_silent_stream_says_that_it_is_still_there() -> None:
    streams = Streams({"one": Told()}, most=1)
    stream = streams.open("")
    assert stream is not None
    messages = stream.messages(heartbeat=QUICK)
    assert next(messages) == BEGINNING
    told: set[str] = set()

    def is_told() -> bool:
        told.add(next(messages))
        return RESET in told

    wait_until(is_told, "it is told where the feed is", HANGING)
    assert told <= {RESET, STILL_HERE}
    assert next(messages) == STILL_HERE
    stream.close()


def test_a_client_that_takes_nothing_between_two_heartbeats_loses_its_stream() -> None:
    streams = Streams({"one": Told()}, most=1)
    stream = streams.open("")
    assert stream is not None
    assert STILL_HERE in list(stream.messages(Full(), heartbeat=QUICK))
    stream.close()


def test_a_stream_begins_although_one_of_the_services_is_away() -> None:
    def away(_: str, __: int) -> Mapping[str, Any]:
        raise Unreachable([], "nobody there")

    streams = Streams({"one": Told(), "other": away}, most=1)
    stream = streams.open("")
    assert stream is not None
    messages = stream.messages()
    assert next(messages) == BEGINNING
    assert next(messages) == "event: reset\nid: 7,\ndata: {}\n\n"
    stream.close()


def test_an_answer_that_makes_no_sense_does_not_end_the_reading_of_a_feed() -> None:
    answers: list[Mapping[str, Any]] = [{"items": [], "next": "7", "reset": False}, {}, {"nothing": 1}]

    def read(_: str, __: int) -> Mapping[str, Any]:
        return answers.pop() if answers else {"items": [], "next": "8", "reset": False}

    streams = Streams({"one": read}, most=1)
    stream = streams.open("")
    assert stream is not None
    last = ""
    for message in stream.messages():
        last = message
        if "id: 7" in message:
            break
    assert last == "event: reset\nid: 7\ndata: {}\n\n"
    stream.close()


def test_when_it_stops_streams_end_and_none_is_opened() -> None:
    streams = Streams({"one": Told()}, most=2)
    stream = streams.open("")
    assert stream is not None
    messages = stream.messages()
    assert next(messages) == BEGINNING
    streams.stop()
    assert list(messages) == []
    assert streams.open("") is None
    stream.close()


def first_of(streams: Streams, last_id: str) -> str:
    """Return the first message of a viewer whose last message was this."""
    stream = streams.open(last_id)
    assert stream is not None
    messages = stream.messages()
    assert next(messages) == BEGINNING
    told = next(messages)
    stream.close()
    return told


@pytest.mark.parametrize(
    "last_id",
    [
        "7\n\nevent: changed\ndata: {}\n\n",
        f"{POSITION}\n",
        f"{POSITION}\nretry: 1",
        f" {POSITION}",
        "x" * 100_000,
        "123456789012345678901" + POSITION[19:],
        POSITION.upper(),
        f"{POSITION},{POSITION}",
        "7",
    ],
)
def test_a_viewer_s_id_is_a_position_in_the_feed_or_nothing(last_id: str) -> None:
    read = Told()
    assert first_of(Streams({"one": read}, most=1), last_id) == RESET
    assert read.reads[0] == ""


def test_a_feed_is_read_from_the_position_of_its_first_viewer() -> None:
    read = Told()
    longest = "12345678901234567890" + POSITION[19:]
    stream = Streams({"one": read}, most=1).open(longest)
    assert stream is not None
    wait_until(lambda: read.reads, "the feed is read", HANGING)
    assert read.reads[0] == longest
    stream.close()


def test_a_stream_that_cannot_begin_takes_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    streams = Streams({"one": Told(), "other": Told()}, most=1)
    begin, begun = threading.Thread.start, []

    def refuse_the_second(thread: threading.Thread) -> None:
        begun.append(thread)
        if len(begun) == 2:
            raise RuntimeError("can't start new thread")
        begin(thread)

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse_the_second)
        with pytest.raises(RuntimeError):
            streams.open("")
    assert first_of(streams, "") == "event: reset\nid: 7,7\ndata: {}\n\n"


class Gone:
    """A socket of a client that has just left."""

    def setsockopt(self, *_: int) -> None:
        raise OSError("it is gone")


def test_a_client_that_left_at_once_takes_no_place() -> None:
    viewer = create_app(Settings(_env_file=None, dashboard_streams=1)).test_client()
    assert viewer.get("/live", environ_overrides={"gunicorn.socket": Gone()}).status_code >= 500
    answer = viewer.get("/live")
    assert answer.status_code == 200
    answer.close()


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_a_page_of_another_site_takes_no_place(headers: dict[str, str]) -> None:
    viewer = create_app(Settings(_env_file=None, dashboard_streams=1)).test_client()
    streams = viewer.application.extensions["streams"]
    answer = viewer.get("/live", headers=headers)
    assert answer.status_code == 403
    stream = streams.open("")
    assert stream is not None
    stream.close()
    streams.stop()

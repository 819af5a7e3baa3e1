"""Streams of changes to those who look (server-sent events): a bounded number, fed by one reader for each style.

A message tells which sagas changed, or that the page has to be loaded anew (`reset`). Its id has the cursors of both
feeds, so that whoever shows it again goes on from there, also after the dashboard was started anew.
"""

import json
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

from flask import current_app

from dashboard.feed import Feed, Read
from shared.saga.changes import POSITION

# Of silence, after which something is sent: so that gateways in between keep the connection, and to see who is gone.
HEARTBEAT_SECONDS = 15.0
STILL_HERE = ": still here\n\n"
BEGINNING = "retry: 1000\n\n"  # milliseconds after which a browser connects again that was cut off
CURSOR = re.compile(POSITION)
BETWEEN = ","  # the cursors in an id; none of them has one


class Streams:
    """All open streams; `reads` has for each style how its feed is read, and `most` may be open at once."""

    def __init__(self, reads: Mapping[str, Read], most: int) -> None:
        self.news = threading.Condition()
        self.stopping = threading.Event()
        self.feeds = [Feed(name, read, self.news, self.stopping) for name, read in reads.items()]
        self.calls = 0  # how often it was looked who is still there
        self._free = most

    def open(self, last_id: str) -> "Stream | None":
        """A stream that goes on after the message with this id (empty: there was none); None when all are taken."""
        cursors = cursors_of(last_id, len(self.feeds))
        with self.news, ExitStack() as taken:
            if self.stopping.is_set():
                return None
            if self._free == 0:
                self._call()
                return None
            seen = []
            for feed, cursor in zip(self.feeds, cursors, strict=True):
                seen.append(feed.join(cursor))
                taken.callback(feed.leave)
            self._free -= 1
            taken.pop_all()  # they are left when the stream is closed
            return Stream(self, seen)

    def is_followed(self) -> bool:
        """Whether changes are known as they happen: somebody is told of them, and both feeds can be read."""
        with self.news:
            return all(feed.is_reading and feed.is_reachable for feed in self.feeds)

    def position(self) -> tuple[int, ...]:
        """The numbers of the last changes: what was read at another position may be out of date."""
        with self.news:
            return tuple(feed.ring.last.number for feed in self.feeds)

    def last_id(self) -> str:
        """The id of a message that would be sent now: whoever reads the sagas after this goes on from there.

        Empty as long as it is not known of both feeds.
        """
        with self.news:
            cursors = [feed.ring.last.cursor for feed in self.feeds]
        return BETWEEN.join(cursors) if all(cursors) else ""

    def give_back(self) -> None:
        """A stream has ended; the next one can be opened."""
        with self.news:
            self._free += 1
            for feed in self.feeds:
                feed.leave()

    def _call(self) -> None:
        """Have every stream look whether its viewer is still there, so that there is a place the next time."""
        self.calls += 1
        self.news.notify_all()

    def stop(self) -> None:
        """End all streams, and open no more; what is open goes on at the process that comes next."""
        self.stopping.set()
        with self.news:
            self.news.notify_all()


class Stream:
    """What one viewer is told; `seen` is for each feed the number of the last change that he knows."""

    def __init__(self, streams: Streams, seen: list[int | None]) -> None:
        self._streams, self._seen, self._calls = streams, seen, streams.calls
        self.close = streams.give_back  # call it once, however the stream ended

    def messages(self, client: Any = None, heartbeat: float = HEARTBEAT_SECONDS) -> Iterator[str]:
        """What is to be sent, as it comes; ends when the process stops, or when `client`, a socket, is gone."""
        yield BEGINNING  # also so that the viewer knows at once that he has a place
        streams = self._streams
        while True:
            with streams.news:
                is_woken = streams.news.wait_for(self._is_woken, heartbeat)
                if streams.stopping.is_set() or has_left(client):
                    return
                self._calls = streams.calls
                message = self._tell() if self._is_news() else STILL_HERE
            yield message
            if not is_woken and getattr(client, "unsent", None):
                return  # it has taken nothing since the last heartbeat

    def _is_woken(self) -> bool:
        return self._streams.stopping.is_set() or self._streams.calls != self._calls or self._is_news()

    def _is_news(self) -> bool:
        """Not before it is known of each feed from where on it is read."""
        feeds = self._streams.feeds
        known = all(feed.is_reachable is not None for feed, seen in zip(feeds, self._seen, strict=True) if seen is None)
        return known and any(feed.ring.last.number != seen for feed, seen in zip(feeds, self._seen, strict=True))

    def _tell(self) -> str:
        """Everything since the last message, as one."""
        feeds = self._streams.feeds
        changes = [feed.ring.since(seen) for feed, seen in zip(feeds, self._seen, strict=True)]
        self._seen = [feed.ring.last.number for feed in feeds]
        last_id = BETWEEN.join(feed.ring.last.cursor for feed in feeds)
        if any(each is None for each in changes):
            return f"event: reset\nid: {last_id}\ndata: {{}}\n\n"
        sagas = dict.fromkeys(saga for each in changes for change in each or () for saga in change.sagas)
        return f"event: changed\nid: {last_id}\ndata: {json.dumps({'sagas': list(sagas)})}\n\n"


def cursors_of(last_id: str, feeds: int) -> list[str]:
    """The cursor of each feed that a message's id has; empty for what is none, since anybody can send any id."""
    cursors = last_id.split(BETWEEN, feeds)
    if len(cursors) != feeds:
        return [""] * feeds
    return [cursor if CURSOR.fullmatch(cursor) else "" for cursor in cursors]


def streams() -> Streams:
    """Those of the app, for a request that is being handled."""
    return current_app.extensions["streams"]  # type: ignore[no-any-return]


def has_left(client: Any) -> bool:
    """Whether the other end of this socket, which does not block, has closed it."""
    try:
        return client is not None and client.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True

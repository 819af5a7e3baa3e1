"""Streams of changes to viewers (server-sent events): a bounded number, fed by one reader for each style.

A message names the sagas that changed, or says that the page has to be loaded anew (`reset`). Its id has the cursors of
both feeds, so that a browser that sends it again continues from there, also after a restart of the dashboard.
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

# Without a message, after which a heartbeat is sent: it keeps connections through gateways, and detects closed ones.
HEARTBEAT_SECONDS = 15.0
STILL_HERE = ": still here\n\n"
BEGINNING = "retry: 1000\n\n"  # milliseconds after which a disconnected browser connects again
CURSOR = re.compile(POSITION)
BETWEEN = ","  # between the cursors in an id, which contain none


class Streams:
    """All open streams, at most `most`; `reads` has for each style the function that reads its feed."""

    def __init__(self, reads: Mapping[str, Read], most: int) -> None:
        self.news = threading.Condition()
        self.stopping = threading.Event()
        self.feeds = [Feed(name, read, self.news, self.stopping) for name, read in reads.items()]
        self.calls = 0  # how often all streams were told to check their clients
        self._free = most

    def open(self, last_id: str) -> "Stream | None":
        """Open a stream after the message with this id (empty: from now on); None when too many are open."""
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
            taken.pop_all()  # the feeds are left when the stream is closed
            return Stream(self, seen)

    def is_followed(self) -> bool:
        """Whether changes are read as they happen: a stream is open, and both feeds can be read."""
        with self.news:
            return all(feed.is_reading and feed.is_reachable for feed in self.feeds)

    def position(self) -> tuple[int, ...]:
        """The numbers of the last changes; data read at another position may be out of date."""
        with self.news:
            return tuple(feed.ring.last.number for feed in self.feeds)

    def last_id(self) -> str:
        """The id of a message sent now: a page made from later reads continues from there.

        Empty until both feeds have been read.
        """
        with self.news:
            cursors = [feed.ring.last.cursor for feed in self.feeds]
        return BETWEEN.join(cursors) if all(cursors) else ""

    def give_back(self) -> None:
        """Count a stream as closed."""
        with self.news:
            self._free += 1
            for feed in self.feeds:
                feed.leave()

    def _call(self) -> None:
        """Have every stream check whether its client is still there, so that closed ones make room."""
        self.calls += 1
        self.news.notify_all()

    def stop(self) -> None:
        """End all streams, and open no more; their browsers connect to the next process."""
        self.stopping.set()
        with self.news:
            self.news.notify_all()


class Stream:
    """The stream of one viewer; `seen` is for each feed the number of the last change that was sent."""

    def __init__(self, streams: Streams, seen: list[int | None]) -> None:
        self._streams, self._seen, self._calls = streams, seen, streams.calls
        self.close = streams.give_back  # call it once, however the stream ended

    def messages(self, client: Any = None, heartbeat: float = HEARTBEAT_SECONDS) -> Iterator[str]:
        """What is to be sent, as it comes; ends when the process stops, or when `client`, a socket, is gone."""
        yield BEGINNING  # at once, so that the browser knows that the stream is open
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
                return  # the client has read nothing since the last heartbeat

    def _is_woken(self) -> bool:
        return self._streams.stopping.is_set() or self._streams.calls != self._calls or self._is_news()

    def _is_news(self) -> bool:
        """Whether there is something to send; False until both feeds have been read."""
        feeds = self._streams.feeds
        known = all(feed.is_reachable is not None for feed, seen in zip(feeds, self._seen, strict=True) if seen is None)
        return known and any(feed.ring.last.number != seen for feed, seen in zip(feeds, self._seen, strict=True))

    def _tell(self) -> str:
        """Make one message of everything since the last one."""
        feeds = self._streams.feeds
        changes = [feed.ring.since(seen) for feed, seen in zip(feeds, self._seen, strict=True)]
        self._seen = [feed.ring.last.number for feed in feeds]
        last_id = BETWEEN.join(feed.ring.last.cursor for feed in feeds)
        if any(each is None for each in changes):
            return f"event: reset\nid: {last_id}\ndata: {{}}\n\n"
        sagas = dict.fromkeys(saga for each in changes for change in each or () for saga in change.sagas)
        return f"event: changed\nid: {last_id}\ndata: {json.dumps({'sagas': list(sagas)})}\n\n"


def cursors_of(last_id: str, feeds: int) -> list[str]:
    """Parse the cursors in a message's id; empty for an invalid one, since any client can send any id."""
    cursors = last_id.split(BETWEEN, feeds)
    if len(cursors) != feeds:
        return [""] * feeds
    return [cursor if CURSOR.fullmatch(cursor) else "" for cursor in cursors]


def streams() -> Streams:
    """Return the app's streams, while a request is handled."""
    return current_app.extensions["streams"]  # type: ignore[no-any-return]


def has_left(client: Any) -> bool:
    """Whether the other end of this socket, which does not block, has closed it."""
    try:
        return client is not None and client.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True

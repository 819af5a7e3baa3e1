"""The change feed of both saga services skips nothing, whatever the order of commits.

Other transactions may run on the server meanwhile, such as PostgreSQL's own, so the tests wait for expected changes.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import create_engine, text

from shared.saga.setup import EXTENSION
from shared.testing import concurrently, wait_until
from tests.integration.api_client import problem_of
from tests.integration.saga_stages import STAGES, Stage, stage_of

MOST_WAIT = 60  # the longest wait that may be requested, in seconds
HANG_SECONDS = 300  # a feed waits for older transactions, also those of other tests on the same server


@pytest.fixture(params=sorted(STAGES))
def stage(request: pytest.FixtureRequest, service_client: Callable[..., FlaskClient], fresh_database_url: str) -> Stage:
    return stage_of(request.param, service_client(request.param, database_url=fresh_database_url, most_wait_seconds=30))


def changed(stage: Stage, after: str, wait: int = 0) -> list[str]:
    answer = stage.read("/changes", after=after, wait=wait)
    assert answer["reset"] is False
    return [item["saga_id"] for item in answer["items"]]


def settled(stage: Stage, after: str, count: int) -> list[dict[str, Any]]:
    """Wait until so many changes can be read; return them."""
    found: list[dict[str, Any]] = []

    def look() -> bool:
        found[:] = stage.read("/changes", after=after)["items"]
        return len(found) >= count

    wait_until(look, "changes", HANG_SECONDS)
    return found


@pytest.fixture
def older_transaction(fresh_database_url: str) -> Iterator[Any]:
    """Another client's transaction that has written something, and is open."""
    engine = create_engine(fresh_database_url)
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_current_xact_id()"))
        yield connection
    engine.dispose()


def test_it_begins_at_the_present(stage: Stage) -> None:
    stage.completed()
    start = stage.read("/changes")
    assert (start["items"], start["reset"]) == ([], False)
    saga_id = stage.begun()
    assert [item["saga_id"] for item in settled(stage, start["next"], 1)][-1] == str(saga_id)


def test_every_change_of_what_people_see_is_told_once_with_the_saga_as_it_is_then(stage: Stage) -> None:
    position = stage.read("/changes")["next"]
    first, second = stage.begun(), stage.completed()
    assert {item["saga_id"] for item in settled(stage, position, 2)} == {str(first), str(second)}
    position = stage.read("/changes", after=position)["next"]
    stage.post(f"{stage.base}/{second}/compensate", {"reason": "returned"})
    (item,) = settled(stage, position, 1)
    assert (item["saga_id"], item["status"], item["error"]) == (str(second), "compensating", "returned")
    assert item == next(each for each in stage.sagas()["items"] if each["saga_id"] == str(second))


def test_a_saga_that_begins_to_wait_for_another_attempt_has_changed(stage: Stage) -> None:
    position = stage.read("/changes")["next"]
    saga_id = stage.waiting()
    (item,) = settled(stage, position, 1)
    assert (item["saga_id"], item["retrying"]) == (str(saga_id), True)


def test_pages_follow_each_other_without_a_gap_or_an_overlap(stage: Stage) -> None:
    position = stage.read("/changes")["next"]
    for _ in range(5):
        stage.completed()
    whole = settled(stage, position, 5)
    pages = []
    for _ in range(3):
        page = stage.read("/changes", after=position, limit=2)
        position = page["next"]
        pages.append(page["items"])
    assert pages == [whole[:2], whole[2:4], whole[4:]]


def test_what_an_older_transaction_may_still_add_is_waited_for(stage: Stage, older_transaction: Any) -> None:
    position = stage.read("/changes")["next"]
    saga_id = stage.completed()
    assert changed(stage, position) == []
    older_transaction.commit()
    assert [item["saga_id"] for item in settled(stage, position, 1)] == [str(saga_id)]


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """An event that is set when a request waits to poll again."""
    waits = threading.Event()

    def note(seconds: float) -> None:
        waits.set()
        time.sleep(seconds)

    monkeypatch.setattr("shared.saga.changes.sleep", note)
    return waits


@contextmanager
def one_who_waits(stage: Stage, position: str, waits: threading.Event) -> Iterator[list[list[str]]]:
    """Run a request that waits for changes during the block; its result is in the list afterwards."""
    told: list[list[str]] = []
    waiter = threading.Thread(target=lambda: told.append(changed(stage, position, wait=MOST_WAIT)))
    waiter.start()
    assert waits.wait(HANG_SECONDS)
    yield told
    waiter.join(HANG_SECONDS)


def test_who_waits_is_told_as_soon_as_a_saga_changes(stage: Stage, waits: threading.Event) -> None:
    began = time.monotonic()
    with one_who_waits(stage, stage.read("/changes")["next"], waits) as told:
        saga_id = stage.begun()
    assert told == [[str(saga_id)]]
    assert time.monotonic() - began < 30  # the longest wait


def test_who_waits_is_told_once_the_older_transaction_is_over(
    stage: Stage, older_transaction: Any, waits: threading.Event
) -> None:
    position = stage.read("/changes")["next"]
    saga_id = stage.completed()
    with one_who_waits(stage, position, waits) as told:
        older_transaction.commit()
    assert told == [[str(saga_id)]]


def test_who_waits_in_vain_is_answered_in_time(stage: Stage) -> None:
    position = stage.read("/changes")["next"]
    assert changed(stage, position, wait=1) == []


def test_those_who_have_no_place_to_wait_are_answered_at_once(stage: Stage) -> None:
    feed = stage.client.application.extensions[EXTENSION].service.changes
    position = stage.read("/changes")["next"]
    while feed.places.acquire(blocking=False):
        pass
    began = time.monotonic()
    assert changed(stage, position, wait=MOST_WAIT) == []
    assert time.monotonic() - began < 30


def test_whoever_follows_the_feed_while_many_write_at_once_sees_every_saga_in_its_last_state(stage: Stage) -> None:
    position = stage.read("/changes")["next"]
    shown: dict[str, str] = {}
    last: dict[str, str] = {}
    written = threading.Event()

    def follow() -> None:
        at, until = position, time.monotonic() + HANG_SECONDS
        while not (written.is_set() and shown == last) and time.monotonic() < until:
            answer = stage.read("/changes", after=at, limit=3)
            at = answer["next"]
            shown.update({item["saga_id"]: item["status"] for item in answer["items"]})

    def write() -> None:
        for _ in range(2):
            stage.declined()
            stage.completed()

    follower = threading.Thread(target=follow)
    follower.start()
    concurrently(*[write] * 4)
    last.update({item["saga_id"]: item["status"] for item in stage.sagas(limit=200)["items"]})
    written.set()
    follower.join()
    assert len(last) == 16
    assert shown == last


def test_a_look_that_reads_only_rows_that_are_passed_over_goes_on_behind_them(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    position = stage.read("/changes")["next"]
    saga_ids = [stage.completed() for _ in range(3)]
    settled(stage, position, 3)
    monkeypatch.setattr("shared.saga.changes.MOST_READ", 1)
    told: list[str] = []
    while (answer := stage.read("/changes", after=position))["next"] != position:
        told += [item["saga_id"] for item in answer["items"]]
        position = answer["next"]
        if len(told) == 3:
            break
    assert told == [str(saga_id) for saga_id in saga_ids]


@pytest.mark.parametrize("how", ["elsewhere", "later", "forgotten"])
def test_a_position_of_another_database_or_of_another_time_is_told_to_begin_anew(stage: Stage, how: str) -> None:
    now = stage.read("/changes")["next"]
    place, changed_in, saga_id = now.split(".")
    strange = {
        "elsewhere": f"{place}9.{changed_in}.{saga_id}",
        "later": f"{place}.{10**17}.{saga_id}",
        "forgotten": f"{place}.0.{saga_id}",
    }
    answer = stage.read("/changes", after=strange[how])
    assert (answer["items"], answer["reset"]) == ([], True)
    assert stage.read("/changes", after=answer["next"])["reset"] is False


@pytest.mark.parametrize("query", ["after=1", "limit=0", "limit=201", "wait=-1", "wait=61"])
def test_what_is_no_position_is_refused(stage: Stage, query: str) -> None:
    assert problem_of(stage.get(f"{stage.base}/changes?{query}"))["status"] == 422

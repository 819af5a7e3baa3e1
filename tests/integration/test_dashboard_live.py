"""The dashboard's stream of changes: a real process that reads fake feeds, and real HTTP clients."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import requests

from dashboard.feed import KEPT
from shared.testing import wait_until
from tests.system.feeds import HANGING, PAGE, FeedService, Watching, feeding, watch
from tests.system.running import DASHBOARD, RunningSystem, Spawner

PLACES = 3


@pytest.fixture(scope="module")
def feeds() -> Iterator[dict[str, FeedService]]:
    """Fakes of both saga services."""
    with feeding() as orchestrated, feeding() as choreographed:
        yield {"orchestrated": orchestrated, "choreographed": choreographed}


@pytest.fixture(scope="module")
def system(
    feeds: dict[str, FeedService], _spawner: Spawner, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningSystem]:
    """The dashboard alone, with few streams."""
    env = {
        "ORCHESTRATOR_URL": feeds["orchestrated"].url,
        "CHOREOGRAPHY_URL": feeds["choreographed"].url,
        "DASHBOARD_STREAMS": str(PLACES),
        "DASHBOARD_READ_SECONDS": str(HANGING),  # a busy machine does not count as an unavailable service
    }
    folder = tmp_path_factory.mktemp("live")
    with RunningSystem(_spawner, "postgresql://nobody@127.0.0.1/none", folder, processes=[DASHBOARD], env=env) as made:
        yield made


@pytest.fixture
def url(system: RunningSystem) -> str:
    """The URL of the dashboard."""
    return system.url(DASHBOARD)


def test_a_viewer_is_told_of_changes_in_both_styles(url: str, feeds: dict[str, FeedService]) -> None:
    with watch(url) as viewer:
        assert viewer.answer.headers["Content-Type"].startswith("text/event-stream")
        assert viewer.message() == ("reset", [])
        feeds["orchestrated"].change("a1")
        assert viewer.message() == ("changed", ["a1"])
        feeds["choreographed"].change("b1", "b2", "b1")
        assert viewer.sagas(2) == ["b1", "b2"]


def test_a_viewer_who_was_cut_off_goes_on_without_a_gap_or_a_double(url: str, feeds: dict[str, FeedService]) -> None:
    with watch(url) as stays, watch(url) as goes:
        assert [stays.message(), goes.message()] == [("reset", [])] * 2
        feeds["orchestrated"].change("c0")
        assert [stays.message(), goes.message()] == [("changed", ["c0"])] * 2
        goes.answer.close()
        missed = [f"c{number}" for number in range(1, 30)]
        for saga in missed:
            feeds["orchestrated"].change(saga)
        assert stays.sagas(len(missed)) == missed
        with watch(url, goes.last_id) as again:
            assert again.sagas(len(missed)) == missed
            feeds["choreographed"].change("c30")
            assert again.message() == ("changed", ["c30"])


def test_who_was_away_for_longer_than_changes_are_kept_loads_anew(url: str, feeds: dict[str, FeedService]) -> None:
    with watch(url) as stays, watch(url) as goes:
        assert [stays.message(), goes.message()] == [("reset", [])] * 2
        goes.answer.close()
        feeds["orchestrated"].change(*(f"d{number}" for number in range((KEPT + 2) * PAGE)), "the last")
        while "the last" not in (told := stays.message())[1] and told[0] != "reset":
            pass
        with watch(url, goes.last_id) as again:
            assert again.message() == ("reset", [])
        with watch(url, "no such id") as stranger:
            assert stranger.message() == ("reset", [])


def test_however_many_look_each_feed_is_read_once(url: str, feeds: dict[str, FeedService]) -> None:
    feed = feeds["orchestrated"]
    with ExitStack() as stack:
        viewers = [stack.enter_context(watch(url)) for _ in range(PLACES)]
        assert [viewer.message() for viewer in viewers] == [("reset", [])] * PLACES
        wait_until(lambda: feed.waiting == 1, "the feed is being read", HANGING)
        before = len(feed.requests)
        feed.change("e1")
        assert [viewer.message() for viewer in viewers] == [("changed", ["e1"])] * PLACES
        wait_until(lambda: feed.waiting == 1, "the feed is being read again", HANGING)
        assert len(feed.requests) == before + 1
        assert feed.most_waiting == 1


def test_a_burst_of_changes_is_told_in_a_few_messages(url: str, feeds: dict[str, FeedService]) -> None:
    burst = [f"f{number}" for number in range(PAGE - 1)]
    with watch(url) as viewer:
        assert viewer.message() == ("reset", [])
        for saga in burst:
            feeds["orchestrated"].change(saga, "f")
        told: list[str] = []
        messages = 0
        while burst[-1] not in told:
            told += viewer.message()[1]
            messages += 1
    assert [saga for saga in told if saga != "f"] == burst
    assert messages < len(burst) / 4


def test_one_viewer_too_many_is_told_when_to_come_again_and_gets_the_place_of_one_who_left(url: str) -> None:
    with ExitStack() as stack:
        viewers = [stack.enter_context(watch(url)) for _ in range(PLACES)]
        assert {viewer.answer.status_code for viewer in viewers} == {200}
        with Watching(url) as refused:
            assert refused.answer.status_code == 503
            assert int(refused.answer.headers["Retry-After"]) > 0
        assert requests.get(f"{url}/health", timeout=HANGING).status_code == 200, "pages have threads of their own"
        viewers[0].answer.close()
        stack.enter_context(watch(url))


def test_a_page_of_another_site_takes_no_place(url: str) -> None:
    headers = {"Sec-Fetch-Site": "cross-site"}
    with requests.get(f"{url}/live", headers=headers, stream=True, timeout=HANGING) as answer:
        assert answer.status_code == 403


def test_a_feed_that_begins_anew_has_viewers_load_anew(url: str, feeds: dict[str, FeedService]) -> None:
    with watch(url) as viewer:
        assert viewer.message() == ("reset", [])
        feeds["choreographed"].restore()
        assert viewer.message() == ("reset", [])
        feeds["choreographed"].change("g1")
        assert viewer.message() == ("changed", ["g1"])


def test_a_service_that_goes_and_comes_has_viewers_load_anew(url: str, feeds: dict[str, FeedService]) -> None:
    feed = feeds["orchestrated"]
    with watch(url) as viewer:
        assert viewer.message() == ("reset", [])
        feed.is_away = True
        feed.change("unseen")  # so that the waiting request is answered
        assert viewer.message() == ("reset", [])
        feeds["choreographed"].change("h1")
        assert viewer.message() == ("changed", ["h1"]), "the other style goes on"
        feed.is_away = False
        assert viewer.message() == ("reset", [])


def test_killed_and_back_it_goes_on_where_its_viewers_were(
    url: str, system: RunningSystem, feeds: dict[str, FeedService]
) -> None:
    with watch(url) as viewer:
        assert viewer.message() == ("reset", [])
        feeds["orchestrated"].change("i1")
        assert viewer.message() == ("changed", ["i1"])
        system.kill(DASHBOARD)
    feeds["orchestrated"].change("i2")
    feeds["choreographed"].change("i3")
    system.restart(DASHBOARD)
    with watch(url, viewer.last_id) as again:
        assert sorted(again.sagas(2)) == ["i2", "i3"]


def test_it_stops_with_streams_open_and_ends_them_as_a_whole(
    url: str, system: RunningSystem, feeds: dict[str, FeedService]
) -> None:
    with watch(url) as viewer:
        assert viewer.message() == ("reset", [])
        assert system.stop(DASHBOARD) == 0
        with pytest.raises(StopIteration):  # the stream ends without a transfer error
            viewer.message()
    feeds["orchestrated"].change("j1")
    system.restart(DASHBOARD)
    with watch(url, viewer.last_id) as again:
        assert again.message() == ("changed", ["j1"])

"""Who requested what, why and when, for all sagas of a service."""

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from shared.ids import new_id
from tests.integration.choreography_client import Window
from tests.integration.saga_stages import STAGES, Stage, stage_of


@pytest.fixture(params=sorted(STAGES))
def stage(request: pytest.FixtureRequest, service_client: Callable[..., FlaskClient], fresh_database_url: str) -> Stage:
    return stage_of(request.param, service_client(request.param, database_url=fresh_database_url))


def test_what_operators_requested_is_listed_with_who_and_why_the_latest_first(stage: Stage) -> None:
    done, live = stage.completed(), stage.paid()
    for saga_id, what, by in ((done, "compensate", "eva"), (live, "retry", "juan"), (live, "compensate", "eva")):
        assert stage.post(f"{stage.base}/{saga_id}/{what}", {"by": by, "reason": f"{what} it"}).status_code == 202
    items = stage.read("/operations")["items"]
    assert [(item["saga_id"], item["kind"], item["by"], item["reason"]) for item in items] == [
        (str(live), "compensation_requested", "eva", "compensate it"),
        (str(live), "retry_requested", "juan", "retry it"),
        (str(done), "compensation_requested", "eva", "compensate it"),
    ]
    first = stage.read("/operations", limit=2)
    assert first["items"] == items[:2]
    assert stage.read("/operations", cursor=first["next_cursor"]) == {"items": items[2:], "next_cursor": None}


def test_what_the_watchdog_does_by_itself_is_no_operation(
    service_client: Callable[..., FlaskClient], fresh_database_url: str
) -> None:
    stage = stage_of("saga_choreography", service_client("saga_choreography", database_url=fresh_database_url))
    assert isinstance(stage, Window)
    saga_id = stage.paid()
    stage.be_silent(saga_id, 601)
    assert stage.watch() == 1
    assert stage.timeline(saga_id, kind="retry_requested")
    assert stage.read("/operations")["items"] == []


def test_a_redrive_is_one_operation_whatever_it_moved(
    service_client: Callable[..., FlaskClient], fresh_database_url: str
) -> None:
    stage = stage_of("saga_choreography", service_client("saga_choreography", database_url=fresh_database_url))
    assert isinstance(stage, Window)
    saga_id, redrive = stage.paid(), new_id()
    stage.execute(f"""
        INSERT INTO saga_choreography.redrives (id, by, reason, wanted, moved)
        VALUES ('{redrive}', 'eva', 'mended', '{{}}', '[{{}}, {{}}]')""")
    stage.execute(f"""
        INSERT INTO saga_choreography.notes (id, saga_id, kind, by, reason)
        VALUES ('{new_id()}', '{saga_id}', 'redriven', 'eva', 'mended')""")
    (item,) = stage.read("/operations")["items"]
    assert (item["id"], item["kind"], item["by"], item["saga_id"]) == (str(redrive), "redriven", "eva", None)
    assert item["detail"] == "2 messages"

"""What a page shows of a saga that does not continue: its dead letters and faults."""

import pytest
from flask.testing import FlaskClient

from tests.unit.dashboard.shop import CHOREOGRAPHED, OTHER, Services, said


@pytest.fixture
def silent(services: Services) -> Services:
    """The choreographed saga waits, one of its messages is parked, and a fault happened to it."""
    window, path = services["choreography"], f"/saga/choreography/{OTHER}"
    items = [each for each in CHOREOGRAPHED["timeline"]["items"] if each["event"] != "checkout.completed"][:2]
    window.answers[path] = {**CHOREOGRAPHED["saga"], "status": "running", "ended_at": None}
    window.answers[f"{path}/timeline"] = {"items": items}
    letter = {"event": "inventory.reserved", "service": "pagos", "error": "its worker died <u>four times"}
    window.answers[f"/saga/choreography/dead-letters?saga_id={OTHER}&limit=200"] = {"items": [letter]}
    row = {"name": "kill", "step": "process_payment", "fired": 8}
    services["pagos"].answers[f"/faults?saga_id={OTHER}"] = {"fired": [row]}
    return services


def test_a_silent_saga_s_dead_letters_and_faults_are_told_with_links(viewer: FlaskClient, silent: Services) -> None:
    page = viewer.get(f"/sagas/choreographed/{OTHER}").text
    assert f'<a href="/dead-letters?saga={OTHER}">inventory.reserved parked by pagos: its worker died &lt;u&gt;' in page
    assert '<a href="/faults">kill at Take payment, 8 times</a>' in page


def test_a_look_at_a_saga_s_letters_is_shared_since_it_holds_them_back(viewer: FlaskClient, silent: Services) -> None:
    for _ in range(3):
        viewer.get(f"/sagas/choreographed/{OTHER}")
    paths = [path for _, path, *_ in silent["choreography"].requests if "dead-letters" in path]
    assert len(paths) == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((401, {"detail": "no"}), "Dead letters shown to operators only"),
        ((503, {"detail": "no broker"}), "Dead letters could not be read"),
    ],
)
def test_letters_that_cannot_be_read_are_not_said_to_be_none(
    viewer: FlaskClient, silent: Services, answer: tuple[int, dict[str, str]], words: str
) -> None:
    silent["choreography"].answers[f"/saga/choreography/dead-letters?saga_id={OTHER}&limit=200"] = answer
    assert words in said(viewer, f"/sagas/choreographed/{OTHER}")


def test_of_a_saga_that_completed_no_letters_are_read(viewer: FlaskClient, services: Services) -> None:
    viewer.get(f"/sagas/choreographed/{OTHER}")
    assert not [path for _, path, *_ in services["choreography"].requests if "dead-letters" in path]

"""Services that answer about two recorded sagas, and a client of a dashboard that reads them."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from flask.testing import FlaskClient

from dashboard.app import create_app
from tests.unit.dashboard.answering import serving
from tests.unit.dashboard.shop import CHOREOGRAPHED, NAMES, ORCHESTRATED, Services, answers_of, settings_of


@pytest.fixture
def services() -> Iterator[Services]:
    nothing: dict[str, Any] = {"items": [], "next_cursor": None}
    answers: dict[str, dict[str, Any]] = {name: {} for name in NAMES}
    answers["orchestrator"]["/saga/operations?limit=1"] = nothing
    for told, base, listed in (
        (ORCHESTRATED, "/saga", "/saga"),
        (CHOREOGRAPHED, "/saga/choreography", "/saga/choreography/status"),
    ):
        for name, said in answers_of(told, base, listed).items():
            answers[name] |= said
    for told, name, listed in (
        (CHOREOGRAPHED, "orchestrator", "/saga"),
        (ORCHESTRATED, "choreography", "/saga/choreography/status"),
    ):
        answers[name][f"{listed}?cart_id={told['saga']['cart_id']}&limit=50"] = nothing
    with ExitStack() as stack:
        yield {name: stack.enter_context(serving(answers[name])) for name in NAMES}


@pytest.fixture
def viewer(services: Services) -> Iterator[FlaskClient]:
    app = create_app(settings_of(services))
    yield app.test_client()
    for stop in app.extensions["on_stop"]:
        stop()

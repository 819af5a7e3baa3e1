"""Commands of many sagas at one service: an outcome for each, whatever the service answers."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import pytest

from saga_orchestrator.config import Settings
from saga_orchestrator.orchestrator import CHECKOUT
from saga_orchestrator.runtime.definition import Request
from saga_orchestrator.runtime.participants import Participants
from saga_orchestrator.runtime.state import Outcome, Refused, Succeeded, Unknown
from shared.ids import new_id
from tests.integration.answering_service import Json, Service, answering_service

BATCH_PATH = "/saga-commands"
NO, LATER = (402, {"detail": "declined"}), (503, {"detail": "not now"})


@pytest.fixture
def service() -> Iterator[Service]:
    with answering_service() as service:
        yield service


@pytest.fixture
def participants(service: Service) -> Participants:
    return Participants(
        CHECKOUT.services,
        Settings(_env_file=None, DATABASE_URL="postgresql://nobody/nothing", pagos_service_url=service.url),
    )


def pay(number: int) -> Request:
    return Request("pagos", "POST", f"/payments/{number}", {"number": number}, UUID(int=number))


def paid(number: int) -> tuple[int, Json]:
    return 201, {"saga_id": str(UUID(int=number))}


def ask(participants: Participants, count: int) -> Sequence[Outcome | None]:
    return [
        None if answer is None else answer.outcome
        for answer in participants.send([pay(number) for number in range(count)])
    ]


def each(*outcomes: tuple[int, Mapping[str, Any]]) -> tuple[int, Json]:
    return 200, {"outcomes": [{"status": status, "body": body} for status, body in outcomes]}


def test_one_goes_by_its_own_endpoint_and_many_go_together(service: Service, participants: Participants) -> None:
    bodies: list[Json] = []

    def answer(path: str, body: Json) -> tuple[int, Any]:
        bodies.append(body)
        return each(paid(0), paid(1)) if path == BATCH_PATH else paid(0)

    service.answer = answer
    assert ask(participants, 1) == [Succeeded()]
    assert ask(participants, 2) == [Succeeded()] * 2
    assert service.requested == ["/payments/0", BATCH_PATH]
    commands = [{"path": f"/payments/{number}", "body": {"number": number}} for number in range(2)]
    assert bodies == [{"number": 0}, {"commands": commands}]


def test_each_has_an_outcome_of_its_own(service: Service, participants: Participants) -> None:
    service.answer = lambda _, __: each(paid(0), NO, LATER, (429, {}), (500, {}))
    assert ask(participants, 5) == [
        Succeeded(),
        Refused("pagos: HTTP 402: declined"),
        Unknown("pagos: HTTP 503: not now"),
        Unknown("pagos: HTTP 429"),
        Unknown("pagos: HTTP 500"),
    ]


@pytest.mark.parametrize(
    "answer",
    [
        None,
        (503, {"detail": "not now"}),
        (429, {}),
        (408, {}),
        (200, {"outcomes": [{"status": 201, "body": {}}]}),
        (200, {"outcomes": [{"status": 201, "body": {}}, {"status": 201}]}),
        (200, {"outcomes": [{"status": 201, "body": {}}, {"status": 201, "body": []}]}),
        (200, {"outcomes": [{"status": 201, "body": {}}, 201]}),
        (200, {"outcomes": None}),
        (200, []),
    ],
)
def test_without_an_answer_for_each_all_are_in_doubt(
    service: Service, participants: Participants, answer: tuple[int, Any] | None
) -> None:
    service.answer = lambda _, __: answer
    outcomes = ask(participants, 2)
    assert [type(outcome) for outcome in outcomes] == [Unknown, Unknown]
    assert participants.takes_batches(pay(0))


@pytest.mark.parametrize("status", [200, 201, 202])
@pytest.mark.parametrize("body", [{}, {"saga_id": None}, {"saga_id": str(UUID(int=9))}, {"status": "captured"}])
def test_a_success_that_does_not_name_the_saga_leaves_it_in_doubt(
    service: Service, participants: Participants, status: int, body: Json
) -> None:
    """Something between may answer so, although the participant never got the request."""
    service.answer = lambda path, _: each(paid(0), (status, body)) if path == BATCH_PATH else (status, body)
    assert [type(outcome) for outcome in ask(participants, 1)] == [Unknown]
    assert [type(outcome) for outcome in ask(participants, 2)] == [Succeeded, Unknown]


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_is_refused_as_a_whole_is_to_be_sent_one_by_one(
    service: Service, participants: Participants, status: int
) -> None:
    service.answer = lambda _, __: (status, {})
    assert ask(participants, 2) == [None, None]
    assert participants.takes_batches(pay(0)), "another time it may fit"


@pytest.mark.parametrize("status", [404, 405])
def test_a_service_that_takes_one_command_at_a_time_is_known_as_one(
    service: Service, participants: Participants, status: int
) -> None:
    service.answer = lambda path, _: (status, {}) if path == BATCH_PATH else paid(0)
    assert ask(participants, 2) == [None, None]
    assert not participants.takes_batches(pay(0))
    assert participants.takes_batches(Request("inventario", "POST", "/reserve", {}, new_id())), (
        "the others are not meant"
    )


def test_a_command_that_is_only_an_endpoint_is_to_be_sent_alone(service: Service, participants: Participants) -> None:
    """As for a new step; a 404 of another kind is the step's own answer."""
    unheard_of = (404, {"type": "/problems/unknown-command", "detail": "no command of pagos"})
    service.answer = lambda _, __: each(
        paid(0), unheard_of, (404, {"type": "/problems/not-found", "detail": "no cart"})
    )
    assert ask(participants, 3) == [Succeeded(), None, Refused("pagos: HTTP 404: no cart")]


def test_each_answer_says_with_how_many_it_came_its_status_and_what_was_done_on_purpose(
    service: Service, participants: Participants
) -> None:
    injected = (402, {"detail": "declined", "injected": "refuse"})
    service.answer = lambda path, _: each(paid(0), injected) if path == BATCH_PATH else (201, {"injected": ["\0"]})
    answers = [*participants.send([pay(0), pay(1)]), *participants.send([pay(2)])]
    assert [answer and (answer.together, answer.status_code, answer.fault) for answer in answers] == [
        (2, 201, None),
        (2, 402, "refuse"),
        (1, 201, None),
    ]
    service.answer = lambda _, __: None
    (silent,) = participants.send([pay(3)])
    assert silent
    assert (silent.together, silent.status_code) == (1, None)


def test_what_is_only_read_goes_alone(participants: Participants) -> None:
    assert not participants.takes_batches(Request("carrito", "GET", "/carts/1", None, new_id()))


def test_a_service_that_is_not_there_leaves_all_in_doubt(service: Service, participants: Participants) -> None:
    service.server.socket.close()
    assert [type(outcome) for outcome in ask(participants, 2)] == [Unknown, Unknown]


def test_whatever_a_service_says_can_be_written_down(service: Service, participants: Participants) -> None:
    """PostgreSQL stores neither NUL nor half a surrogate pair."""
    service.answer = lambda _, __: (402, {"detail": "a\0b\ud800"})
    (outcome,) = ask(participants, 1)
    assert outcome == Refused("pagos: HTTP 402: a\\0b?")


def test_the_body_of_an_answer_is_kept_unless_it_is_a_success_and_never_more_of_it_than_is_bounded(
    service: Service, participants: Participants
) -> None:
    long, unprintable = {"detail": "x" * 5000, "more": "y"}, {"detail": "a\0b\ud800"}
    deep: Json = {}
    for _ in range(800):
        deep = {"deeper": deep}
    service.answer = lambda _, __: each(
        paid(0), NO, (409, long), (409, unprintable), (409, deep), (409, {"detail": "é" * 400})
    )
    answers = [answer.answer for answer in participants.send([pay(number) for number in range(6)]) if answer]
    assert answers[0] is None
    kept = [json.loads(answer or "") for answer in answers[1:]]
    assert kept[:2] == [{"detail": "declined"}, {"detail": "x" * 400}]
    assert all(len(answer or "") <= 2000 and "\0" not in (answer or "") for answer in answers)

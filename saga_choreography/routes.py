"""The choreography over HTTP: the API that both saga services share (`shared/saga/routes.py`), and dead letters."""

from flask import Response
from flask_openapi import APIBlueprint

from saga_choreography import dead_letters
from saga_choreography.config import Settings
from saga_choreography.letter_filter import LetterFilter
from saga_choreography.schemas import DeadLetterOut, DeadLettersOut, DeadLettersQuery, RedriveIn, RedriveOut
from saga_choreography.service import FAILING_STEPS, SAGAS
from shared.http.access import admin_only
from shared.http.answers import Answer, respond
from shared.saga.routes import Descriptions, add_routes_of_all_sagas, add_routes_of_one_saga

REDRIVES_SHOWN = 50
DESCRIPTIONS = Descriptions(
    get_saga="Its status and its steps', as far as its events have come here.",
    get_timeline="Every event with who published it and what it follows from, and what was done about the saga.",
    compensate="A running saga turns back, a completed one is undone in full; repeated, its events are sent again.",
    retry_summary="Have a saga's events sent again",
    retry="For when one may have been lost after the broker had confirmed it. Who has an event takes no notice of a"
    " copy.",
)

routes = APIBlueprint("saga_choreography", __name__, url_prefix=SAGAS.path)
add_routes_of_all_sagas(routes, list_path="/status", failing_steps=FAILING_STEPS)


@routes.get(
    "/dead-letters",
    summary="Messages that a service could not deal with",
    responses={200: DeadLettersOut},
)
@admin_only
def list_dead_letters(query: DeadLettersQuery) -> Response:
    """The matching dead letters of each service, with reasons; and the latest redrives of such letters."""
    filter_ = LetterFilter(**query.model_dump(exclude={"limit"}))
    letters = dead_letters.list_letters(Settings.current().rabbitmq_url, filter_, query.limit)
    items = [DeadLetterOut.model_validate(letter) for letter in letters]
    redrives = [RedriveOut.model_validate(each) for each in dead_letters.latest_redrives(REDRIVES_SHOWN)]
    return respond(Answer(DeadLettersOut(items=items, redrives=redrives)))


@routes.post(
    "/dead-letters/redrive",
    summary="Have messages tried again",
    responses={200: RedriveOut},
)
@admin_only
def redrive(body: RedriveIn) -> Response:
    """For letters whose cause is gone. They are delivered to their service as if for the first time."""
    request = dead_letters.Redrive(**body.model_dump())
    redriven = dead_letters.try_again(Settings.current().rabbitmq_url, request)
    return respond(Answer(RedriveOut.model_validate(redriven)))


add_routes_of_one_saga(routes, DESCRIPTIONS, own_words=("status", '"dead-letters"'))

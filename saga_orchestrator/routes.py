"""The orchestrator over HTTP: the API that both saga services share (`shared/saga/routes.py`), and nothing else."""

from flask_openapi import APIBlueprint

from saga_orchestrator.service import FAILING_STEPS, SAGAS
from shared.saga.routes import Descriptions, add_routes_of_all_sagas, add_routes_of_one_saga

DESCRIPTIONS = Descriptions(
    get_saga="Its status and its steps'; what it shows of a saga under way may be a moment old.",
    get_timeline="Every request with its times and outcome, and every decision; of many attempts, the first ten and the"
    " latest.",
    compensate="A running saga turns back, a completed one is undone in full; repeated, it does nothing more.",
    retry_summary="Try a waiting or stuck saga again now",
    retry="It would be tried again anyway; this is for when the cause is known to be gone.",
)

routes = APIBlueprint("saga_orchestrator", __name__, url_prefix=SAGAS.path)
add_routes_of_all_sagas(routes, list_path="", failing_steps=FAILING_STEPS)
add_routes_of_one_saga(routes, DESCRIPTIONS)

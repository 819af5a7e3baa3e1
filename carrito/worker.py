"""The process that handles events, publishes carrito's own, and hands overdue checkouts over.

Any number of these processes may run. Without a broker they only hand checkouts over.
"""

from collections.abc import Callable, Collection, Sequence
from functools import partial
from uuid import UUID

from flask import current_app

from carrito.app import create_app
from carrito.checkout_store import HANDOVER, handed_over, seconds_to_next_overdue, take_overdue
from carrito.config import Settings
from carrito.domain import CheckoutHandover
from carrito.event_handlers import SUBSCRIPTION
from carrito.handover import MOST_SAGA_IDS, Handover
from carrito.models import audit_log, db, fault_store
from carrito.purges import PURGES
from shared.database.listen import Listener, ShutdownSignal
from shared.messaging.event_worker import jobs
from shared.process import heartbeat, worker
from shared.purging import purge

ORCHESTRATED, CHOREOGRAPHED = "orchestrated", "choreographed"
DELIVERED_TOGETHER = 20  # each delivery takes one HTTP request; delivering the same checkout twice does no harm


def deliver_overdue(style: str, again_seconds: float) -> int:
    """Deliver overdue checkouts of a style that began at carrito; return how many. Those that fail are due again."""
    with db.transaction() as connection:
        overdue = take_overdue(connection, style, DELIVERED_TOGETHER, again_seconds, by_saga_service=False)
    _deliver(overdue)
    return len(overdue)


def hand_over_unknown(again_seconds: float) -> int:
    """Ask the orchestrator which sagas of overdue checkouts it has; deliver the others. Return how many were overdue.

    These are the checkouts whose cart it had frozen itself, so that it probably has their sagas.
    """
    handover: Handover = current_app.extensions["handover"]
    with db.transaction() as connection:
        overdue = take_overdue(connection, ORCHESTRATED, MOST_SAGA_IDS, again_seconds, by_saga_service=True)
    known = handover.known([checkout.saga_id for checkout in overdue])
    _mark_handed_over(known)
    _deliver([checkout for checkout in overdue if checkout.saga_id not in known])
    return len(overdue)


def _deliver(checkouts: Sequence[CheckoutHandover]) -> None:
    """Deliver these checkouts, and mark those that their service accepted."""
    handover: Handover = current_app.extensions["handover"]
    delivered = set()
    for checkout in checkouts:
        heartbeat.beat()
        if handover.deliver(checkout) is not None:
            delivered.add(checkout.saga_id)
    _mark_handed_over(delivered)


def _mark_handed_over(saga_ids: Collection[UUID]) -> None:
    if saga_ids:
        with db.transaction() as connection:
            handed_over(connection, saga_ids)


def idle_seconds(style: str, handover_seconds: float, *, by_saga_service: bool) -> float:
    """Return the seconds until the first of these checkouts may be overdue."""
    with db.transaction() as connection:
        seconds = seconds_to_next_overdue(connection, style, by_saga_service=by_saga_service)
    return handover_seconds if seconds is None else min(seconds, handover_seconds)


def handovers(settings: Settings, stop: ShutdownSignal) -> list[Callable[[], None]]:
    """Make the loops that hand overdue checkouts over. None of them waits for another one's checkouts.

    There is one to deliver those of each style, so that a saga service that is away does not delay the other style's,
    and one to ask the orchestrator about those that it began, however many these are. Only the loop that delivers
    orchestrated ones is notified of a new checkout, since its saga waits for the handover.
    """
    seconds = settings.handover_seconds

    def loop(
        name: str, run_once: Callable[[], int], style: str, *, by_saga_service: bool = False, notified: bool = False
    ) -> Callable[[], None]:
        idle = partial(idle_seconds, style, seconds, by_saga_service=by_saga_service)
        listener = Listener(settings.database_url, HANDOVER) if notified else None
        return partial(worker.run, stop, run_once, idle, listener, name=name)

    loops = [
        loop("handover of orchestrated", partial(deliver_overdue, ORCHESTRATED, seconds), ORCHESTRATED, notified=True),
        loop(
            "handover of unknown",
            partial(hand_over_unknown, seconds),
            ORCHESTRATED,
            by_saga_service=True,
        ),
    ]
    if settings.rabbitmq_url is not None:
        deliver = partial(deliver_overdue, CHOREOGRAPHED, seconds)
        loops.append(loop("handover of choreographed", deliver, CHOREOGRAPHED))
    return loops


def main() -> None:
    """Run with the settings of the environment until SIGTERM or SIGINT."""
    settings = Settings()
    stop = ShutdownSignal.on_signals()
    purges = purge.jobs(db, PURGES, settings, stop)
    totals = audit_log.job(db, stop)
    chores = [*handovers(settings, stop), totals, *purges, *jobs(db, SUBSCRIPTION, settings, stop, fault_store)]
    worker.run_all(create_app(settings), stop, *chores)


if __name__ == "__main__":
    main()

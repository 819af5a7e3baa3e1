"""The process that handles events, publishes carrito's own, and hands overdue checkouts over.

Any number of these processes may run. Without a broker they only hand checkouts over.
"""

from collections.abc import Callable
from functools import partial

from flask import current_app

from carrito.app import create_app
from carrito.checkout_store import HANDOVER, handed_over, seconds_to_next_overdue, take_overdue
from carrito.config import Settings
from carrito.event_handlers import SUBSCRIPTION
from carrito.handover import Handover
from carrito.models import audit_log, db, fault_store
from carrito.purges import PURGES
from shared.database.listen import Listener, ShutdownSignal
from shared.messaging.event_worker import jobs
from shared.process import heartbeat, worker
from shared.purging import purge

BATCH = 20  # each delivery takes one HTTP request; delivering the same checkout twice does no harm


def run_once(style: str, again_seconds: float) -> int:
    """Deliver the overdue checkouts of a style; return how many were tried. One that fails is due again later."""
    handover: Handover = current_app.extensions["handover"]
    with db.transaction() as connection:
        overdue = take_overdue(connection, style, BATCH, again_seconds)
    delivered = handover.known([each.saga_id for each in overdue if each.by_saga_service])
    for checkout in overdue:
        heartbeat.beat()
        if checkout.saga_id not in delivered and handover.deliver(checkout) is not None:
            delivered.add(checkout.saga_id)
    if delivered:
        with db.transaction() as connection:
            handed_over(connection, delivered)
    return len(overdue)


def idle_seconds(style: str, handover_seconds: float) -> float:
    """Return the seconds until the first checkout may be overdue."""
    with db.transaction() as connection:
        seconds = seconds_to_next_overdue(connection, style)
    return handover_seconds if seconds is None else min(seconds, handover_seconds)


def handovers(settings: Settings, stop: ShutdownSignal) -> list[Callable[[], None]]:
    """Make a loop for each style, so that a saga service that is away does not delay the other style's checkouts.

    Only the orchestrated loop is notified of a new checkout, since its saga waits for the handover.
    """
    styles = ["orchestrated"] if settings.rabbitmq_url is None else ["orchestrated", "choreographed"]
    return [
        partial(
            worker.run,
            stop,
            partial(run_once, style, settings.handover_seconds),
            partial(idle_seconds, style, settings.handover_seconds),
            Listener(settings.database_url, HANDOVER) if style == "orchestrated" else None,
            name=f"handover of {style}",
        )
        for style in styles
    ]


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

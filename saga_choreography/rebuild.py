"""Rebuild every saga from the stored events: `python -m saga_choreography.rebuild`.

Needed after a change of the projection, or when rows were lost. Nothing has to be stopped.
"""

import sys
from uuid import UUID

from sqlalchemy import text

from saga_choreography.app import create_app
from saga_choreography.config import Settings
from saga_choreography.domain import Limits
from saga_choreography.models import db
from saga_choreography.recording import remake

BATCH = 500  # sagas in one transaction: their rows are locked for a moment only
SEEN = text("SELECT DISTINCT saga_id FROM saga_choreography.events WHERE saga_id > :last ORDER BY saga_id LIMIT :limit")
OPEN = text("""
INSERT INTO saga_choreography.sagas (saga_id, cart_id, facts, deadline_at, due_at)
SELECT DISTINCT ON (saga_id) saga_id, CAST(CAST(payload AS json) ->> 'cart_id' AS uuid), CAST('{}' AS json),
       now() + make_interval(secs => :forward), now() + make_interval(secs => :first)
  FROM saga_choreography.events WHERE saga_id = ANY(CAST(:ids AS uuid[])) ORDER BY saga_id
ON CONFLICT DO NOTHING
""")


def rebuild(limits: Limits) -> int:
    """Rebuild all sagas; return how many there are."""
    count, last = 0, UUID(int=0)
    while True:
        with db.transaction() as connection:
            saga_ids = list(connection.scalars(SEEN, {"last": last, "limit": BATCH}))
            if not saga_ids:
                return count
            times = {"forward": limits.forward_seconds, "first": limits.first_seconds}
            connection.execute(OPEN, {"ids": saga_ids, **times})
            remake(connection, saga_ids, limits)
        count, last = count + len(saga_ids), saga_ids[-1]


def main() -> None:
    """Run with the settings of the environment."""
    settings = Settings()
    with create_app(settings).app_context():
        sys.stdout.write(f"{rebuild(settings.limits)} sagas made anew\n")


if __name__ == "__main__":
    main()

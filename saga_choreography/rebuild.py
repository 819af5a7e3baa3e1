"""Make every saga anew from the events that were stored: `python -m saga_choreography.rebuild`.

For when what is shown should follow from them in another way than before, or rows were lost. Nothing need be stopped.
"""

import sys
from uuid import UUID

from saga_choreography.app import create_app
from saga_choreography.config import Settings
from saga_choreography.domain import Limits
from saga_choreography.models import db
from saga_choreography.recording import remake_next

BATCH = 500  # sagas in one transaction: their rows are locked for a moment only


def rebuild(limits: Limits) -> int:
    """Make all sagas anew; how many there are."""
    count, last = 0, UUID(int=0)
    while True:
        with db.transaction() as uow:
            made = remake_next(uow, last, BATCH, limits)
        if not made:
            return count
        count, last = count + len(made), made[-1]


def main() -> None:
    """Run with the settings of the environment."""
    settings = Settings()
    with create_app(settings).app_context():
        sys.stdout.write(f"{rebuild(settings.limits)} sagas made anew\n")


if __name__ == "__main__":
    main()

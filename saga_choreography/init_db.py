"""Bring the choreography's schema up to date: `python init_db.py` here, or `python -m saga_choreography.init_db`."""

import sys
from pathlib import Path

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from saga_choreography.models import db

if __name__ == "__main__":
    db.create_all()
    sys.stdout.write("saga_choreography: schema is up to date\n")

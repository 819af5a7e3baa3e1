"""Dead letters and injected faults: reads and commands."""

import time
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from urllib.parse import urlencode

from dashboard.config import Settings
from dashboard.evidence import Evidence, is_wanted
from dashboard.faults import PARTICIPANTS
from dashboard.service_client import Failure, Json, Read, Refused, ServiceClient, TokenNeeded, bearer, items_of, known
from dashboard.shared_readings import SharedReadings
from shared.http.client import Reply

MOST_LETTERS = 200  # of each service; as many as one request lists
LETTERS_SECONDS = 10.0  # readers of a saga's page share a reading of letters, which hides them from others
EVIDENCE_SECONDS = 1.0  # a saga's page waits no longer for optional contents
REDRIVE_SECONDS = 20  # added to the time limit of a read: thousands of messages are moved one by one
DEAD_LETTERS = "/saga/choreography/dead-letters"


class LettersAndFaults(ServiceClient):
    """Reads dead letters and has them redriven; reads faults and switches them."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._letters: SharedReadings[tuple[str, str], Json] = SharedReadings()

    def dead_letters(self, which: Json, token: str) -> Json:
        """Return parked messages that fit the filter, and redrives. Raises `Unreachable`, `Refused`, `TokenNeeded`."""
        query = urlencode({"limit": MOST_LETTERS, **which})
        return self._as_operator("saga_choreography", f"{DEAD_LETTERS}?{query}", token)

    def redrive(self, body: Json, token: str) -> Reply:
        """Have parked messages delivered again. Raises `Unreachable`."""
        return self._post("saga_choreography", f"{DEAD_LETTERS}/redrive", body, bearer(token), REDRIVE_SECONDS)

    def faults(self, names: Sequence[str], token: str) -> list[Json | Failure]:
        """Return what is switched on at each of these services, and which faults happened. Raises `TokenNeeded`."""
        return self._tried(*((name, partial(self._as_operator, name, "/faults", token)) for name in names))

    def switch_fault(self, service: str, name: str, body: Json | None, token: str) -> None:
        """Switch a fault on, or off without a body. Raises `Unreachable`, `Refused`, `TokenNeeded`."""
        method = "DELETE" if body is None else "PUT"
        self._as_operator(service, f"/faults/{name}", token, method, body)

    def have_faults(self, token: str) -> bool:
        """Whether a checkout can name faults. Raises `Unreachable`, or `Refused` if this is not known."""
        try:
            self._as_operator("carrito", "/faults", token)
        except TokenNeeded:
            return True
        except Refused as error:
            if error.status == 404:
                return False
            raise
        return True

    def evidence(self, saga: Json, now: datetime, token: str) -> Evidence:
        """Read the dead letters and faults of a saga that does not go on, in a short time; nothing for other sagas."""
        if not is_wanted(saga, now):
            return Evidence()
        saga_id = str(saga["saga_id"])
        look = partial(self._letters.get, (saga_id, token), partial(self._letters_of, saga_id, token), LETTERS_SECONDS)
        reads: list[Read[Json]] = [("saga_choreography", look), *self._fired_at(saga_id, token)]
        letters, *fired = self._tried(*reads, until=time.monotonic() + EVIDENCE_SECONDS)
        told = [page for page in fired if not isinstance(page, Failure)]
        rows = [row for page in told for row in page["fired"]] if told else None
        hidden = isinstance(letters, Refused) and letters.status == 401
        return Evidence(items_of(known(letters)), rows, is_wanted=True, is_for_operators=hidden)

    def _letters_of(self, saga_id: str, token: str) -> Json:
        return self._if_allowed("saga_choreography", f"{DEAD_LETTERS}?saga_id={saga_id}&limit={MOST_LETTERS}", token)

    def _fired_at(self, saga_id: str, token: str) -> list[Read[Json]]:
        path = f"/faults?saga_id={saga_id}"
        return [(name, partial(self._if_allowed, name, path, token)) for name in PARTICIPANTS]

    def _if_allowed(self, service: str, path: str, token: str) -> Json:
        """Return the answer; a missing token is a refusal like others. Raises `Unreachable`, or `Refused`."""
        try:
            return self._as_operator(service, path, token)
        except TokenNeeded:
            raise Refused(401, f"{service}: this is for operators") from None

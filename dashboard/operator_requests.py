"""What operators may see and do: operations, books, and a saga compensated or retried."""

from functools import partial
from urllib.parse import urlencode

from dashboard.listing import PAGE
from dashboard.service_client import Json, Read, Refused, ServiceClient, T, Unreachable, bearer, known
from dashboard.styles import STYLES, Style
from shared.http.client import Reply


class OperatorRequests(ServiceClient):
    """Requests for operators, with their token if there is one."""

    def ask(self, style: Style, saga_id: str, action: str, body: Json, token: str) -> Reply:
        """Have a saga compensated or retried, with the operator's token if there is one. Raises `Unreachable`."""
        return self._post(style.service, f"{style.base}/{saga_id}/{action}", body, bearer(token))

    def operations(self, before: str, token: str) -> list[tuple[str, Json | None]]:
        """Return by style a page of what operators did; None for a service that does not answer.

        Raises `Refused`, or `TokenNeeded`.
        """
        query = urlencode({"limit": PAGE, **({"cursor": before} if before else {})})
        reads = [
            (style.service, partial(self._as_operator, style.service, f"{style.base}/operations?{query}", token))
            for style in STYLES.values()
        ]
        found = self._tried_unless_refused(*reads)
        return list(zip(STYLES, map(known, found), strict=True))

    def require_operator(self, token: str) -> None:
        """Check the token by reading what only operators may see, from one saga service or else from the other.

        Raises `TokenNeeded`, `Refused`, or `Unreachable` if both are away.
        """
        first, second = STYLES.values()
        try:
            self._as_operator(first.service, f"{first.base}/operations?limit=1", token)
        except Unreachable:
            self._as_operator(second.service, f"{second.base}/operations?limit=1", token)

    def without_books(self, token: str) -> list[str]:
        """Return the services that do not answer for their audit log's position, which is cheap to read.

        Raises `Refused`, `TokenNeeded`, or `Unreachable` when no service can check the token.
        """
        reads = [(name, partial(self._as_operator, name, "/audit/changes", token)) for name in self._urls]
        found = self._tried_unless_refused(*reads)
        away = [name for name, each in zip(self._urls, found, strict=True) if isinstance(each, Unreachable)]
        if len(away) == len(reads):
            raise Unreachable(list(self._urls.items()), "No service is there to say who may see the books.")
        return away

    def _tried_unless_refused(self, *reads: Read[T]) -> list[T | Unreachable]:
        """As `_tried`, but raises the first refusal."""
        found = []
        for each in self._tried(*reads):
            if isinstance(each, Refused):
                raise each
            found.append(each)
        return found

"""Calls services over HTTP, several at once; what can go wrong is one of three errors."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import structlog
from pydantic import SecretStr

from dashboard.config import Settings
from shared.auditing.services import Services as AuditedServices
from shared.http.client import PEER_FAILED, Peer, Reply

Json = Mapping[str, Any]
T = TypeVar("T")
log = structlog.get_logger()

# Requests of all visitors to one service that are on their way at once; a page makes three at most, for some 50 ms.
# Each service has its own, so that one that does not answer delays no reads of the others.
READERS = 16


class Unreachable(Exception):
    """A service that a page cannot do without gave no answer; `peers` are names and URLs."""

    def __init__(self, peers: Sequence[tuple[str, str]], detail: str) -> None:
        super().__init__(detail)
        self.peers = list(peers)


class Refused(Exception):
    """A service refused a request, with this status and detail; `fields` are those that do not fit."""

    def __init__(self, status: int, detail: str, fields: Collection[str] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.fields = frozenset(fields)


class TokenNeeded(Exception):
    """A service answers only those who have the operator's token."""


Failure = Unreachable | Refused
Read = tuple[str, Callable[[], T]]  # the service that is read, and the call


class ServiceClient:
    """Requests to the services by name; the base of what reads and commands them."""

    def __init__(self, settings: Settings) -> None:
        self._urls = {
            "carrito": settings.carrito_service_url,
            "inventario": settings.inventario_service_url,
            "pagos": settings.pagos_service_url,
            "saga_orchestrator": settings.orchestrator_url,
            "saga_choreography": settings.choreography_url,
        }
        self._peers = {name: Peer(name, url, None, settings.dashboard_read_seconds) for name, url in self._urls.items()}
        self._readers = {name: ThreadPoolExecutor(READERS, thread_name_prefix=f"reader-{name}") for name in self._urls}
        self._read_seconds = settings.dashboard_read_seconds

    def audited(self, token: SecretStr | None) -> AuditedServices:
        """The services as an audit reads them."""
        return AuditedServices(self._urls, token)

    def _needed(self, service: str, path: str) -> Json | None:
        """Return the answer; None for 404. Raises `Unreachable`, and `Refused` for any other refusal."""
        reply = self._heard(service, lambda peer: peer.get(path))
        if reply.status == 404:
            return None
        return self._answer(service, reply)

    def _read(self, service: str, path: str) -> Read[Json | None]:
        """Make a read that returns the answer, or None for 404."""
        return service, partial(self._needed, service, path)

    def _deadline(self) -> float:
        """Return the deadline (`time.monotonic`) for all reads of a page that begins now."""
        return time.monotonic() + self._read_seconds

    def _tried(self, *reads: Read[T], until: float | None = None) -> list[T | Failure]:
        """Run these reads in parallel; return their results, or the errors of those that fail or are not in time.

        Raises other errors, such as `TokenNeeded`. No read may itself call this, since it would wait for a thread.
        """
        last = self._deadline() if until is None else until
        begun = [(service, self._readers[service].submit(read)) for service, read in reads]
        return [self._result(service, future, last) for service, future in begun]

    def _result(self, service: str, future: Future[Any], until: float) -> Any:
        try:
            return future.result(max(0.0, until - time.monotonic()))
        except TimeoutError:
            future.cancel()
            error: Failure = Unreachable([(service, self._urls[service])], f"{service}: no answer in time")
        except (Unreachable, Refused) as failed:
            error = failed
        log.warning("not read", service=service, error=str(error))
        return error

    def _all(self, *reads: Read[T], until: float | None = None) -> list[T]:
        """Run these reads in parallel; return their results. Raises the first failure."""
        return [answered(each) for each in self._tried(*reads, until=until)]

    def _as_operator(self, service: str, path: str, token: str, method: str = "GET", body: Json | None = None) -> Json:
        """Send a request with this token; return the answer. Raises `Unreachable`, `Refused`, `TokenNeeded`."""
        reply = self._heard(service, lambda peer: peer.request(method, path, body, bearer(token)))
        if reply.status == 401:
            raise TokenNeeded
        return self._answer(service, reply)

    def _post(self, service: str, path: str, body: Json, headers: Mapping[str, str], wait: float = 0) -> Reply:
        """POST; `wait` seconds are added to the time limit. Raises `Unreachable`."""
        return self._heard(service, lambda peer: peer.request("POST", path, body, headers, wait))

    def _heard(self, service: str, request: Callable[[Peer], Reply]) -> Reply:
        """Send a request; return the reply of the service. Raises `Unreachable` without a reply."""
        try:
            return request(self._peers[service])
        except PEER_FAILED as error:
            raise Unreachable([(service, self._urls[service])], error.detail) from error

    def _answer(self, service: str, reply: Reply) -> Json:
        """Return the body of a reply. Raises `Unreachable` for 503, and `Refused` for any other status but 200."""
        if reply.status == 503:
            raise Unreachable([(service, self._urls[service])], f"{service}: {reply.body.get('detail', 'not now')}")
        if reply.status != 200:
            raise refusal(service, reply)
        return {name: printable(value) for name, value in reply.body.items()}


def printable(value: Any) -> Any:
    """Return a JSON value whose texts every page and link can hold; half a surrogate pair becomes its escape."""
    match value:
        case str():
            return value if value.isascii() else value.encode(errors="backslashreplace").decode()
        case dict():
            return {printable(name): printable(each) for name, each in value.items()}
        case list():
            return [printable(each) for each in value]
    return value


def answered(found: T | Failure) -> T:
    """Return what was read, or raise the failure."""
    if isinstance(found, Failure):
        raise found
    return found


def known(found: T | Failure) -> T | None:
    """Return what was read; None after a failure."""
    return None if isinstance(found, Failure) else found


def items_of(page: Json | None) -> list[Json] | None:
    """Return the items of a page of a list; None without a page."""
    return None if page is None else list(page["items"])


def refusal(service: str, reply: Reply) -> Refused:
    """Make the error of a refusal, with its detail for each field."""
    detail = f"{service}: {reply.body.get('detail', 'no reason given')}"
    errors = {str(each["field"]): str(each["detail"]) for each in reply.body.get("errors", ())}
    return Refused(reply.status, f"{detail} ({', '.join(errors.values())})" if errors else detail, errors)


def fits_header(text: str) -> bool:
    """Whether a header can hold the text: printable ASCII."""
    return text.isascii() and text.isprintable()


def bearer(token: str) -> Mapping[str, str]:
    """Return the header with an operator's token; none without a token."""
    return {"Authorization": f"Bearer {token}"} if token else {}

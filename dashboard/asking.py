"""How services are asked: over HTTP, side by side, with what can go wrong as three errors."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import structlog
from pydantic import SecretStr

from dashboard.config import Settings
from shared.auditing.services import Services as AuditedServices
from shared.http_client import PEER_FAILED, Peer, Reply

Json = Mapping[str, Any]
T = TypeVar("T")
log = structlog.get_logger()

# Requests of all visitors that are on their way at once; a page takes six for some 50 ms.
READERS = 32


class Unreachable(Exception):
    """A service that a page cannot do without gave no answer; `peers` are names and URLs."""

    def __init__(self, peers: Sequence[tuple[str, str]], detail: str) -> None:
        super().__init__(detail)
        self.peers = list(peers)


class Refused(Exception):
    """A service refused what it was asked for, with this status and detail."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class TokenNeeded(Exception):
    """A service answers only those who have the operator's token."""


class Asking:
    """The services by name."""

    def __init__(self, settings: Settings) -> None:
        self._urls = {
            "carrito": settings.carrito_service_url,
            "inventario": settings.inventario_service_url,
            "pagos": settings.pagos_service_url,
            "saga_orchestrator": settings.orchestrator_url,
            "saga_choreography": settings.choreography_url,
        }
        self._peers = {name: Peer(name, url, None, settings.dashboard_read_seconds) for name, url in self._urls.items()}
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="reader")

    def audited(self, token: SecretStr | None) -> AuditedServices:
        """The services as an audit asks them."""
        return AuditedServices(self._urls, token)

    def _needed(self, service: str, path: str) -> Json | None:
        """The answer; None for 404. Raises `Unreachable`, and `Refused` for any other refusal."""
        reply = self._heard(service, lambda peer: peer.get(path))
        if reply.status == 404:
            return None
        return self._answer(service, reply)

    def _optional(self, service: str, path: str) -> Json | None:
        """The answer; None when there is none, whatever the reason."""
        try:
            return self._needed(service, path)
        except (Unreachable, Refused) as error:
            log.warning("not read", service=service, path=path, error=str(error))
            return None

    def _at_once(self, *reads: Callable[[], T]) -> list[T]:
        """The results of these, which run at the same time. None of them may itself wait for readers."""
        return [future.result() for future in [self._readers.submit(read) for read in reads]]

    def _as_operator(self, service: str, path: str, token: str, method: str = "GET", body: Json | None = None) -> Json:
        """The answer. Raises `Unreachable`, `Refused`, or `TokenNeeded`."""
        reply = self._heard(service, lambda peer: peer.request(method, path, body, bearer(token)))
        if reply.status == 401:
            raise TokenNeeded
        return self._answer(service, reply)

    def _post(self, service: str, path: str, body: Json, headers: Mapping[str, str], wait: float = 0) -> Reply:
        """Raises `Unreachable`; `wait` seconds are added to the time limit."""
        return self._heard(service, lambda peer: peer.request("POST", path, body, headers, wait))

    def _heard(self, service: str, request: Callable[[Peer], Reply]) -> Reply:
        """What the service answers to this request. Raises `Unreachable` when it answers nothing."""
        try:
            return request(self._peers[service])
        except PEER_FAILED as error:
            raise Unreachable([(service, self._urls[service])], error.detail) from error

    def _answer(self, service: str, reply: Reply) -> Json:
        """What was answered. Raises `Unreachable` for "not now", and `Refused` for everything else but 200."""
        if reply.status == 503:
            raise Unreachable([(service, self._urls[service])], f"{service}: {reply.body.get('detail', 'not now')}")
        if reply.status != 200:
            raise refusal(service, reply)
        return reply.body


def refusal(service: str, reply: Reply) -> Refused:
    """The error for an answer that refuses."""
    return Refused(reply.status, f"{service}: {reply.body.get('detail', 'no reason given')}")


def bearer(token: str) -> Mapping[str, str]:
    """The header that shows an operator's token; none without a token."""
    return {"Authorization": f"Bearer {token}"} if token else {}

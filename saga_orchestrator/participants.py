"""The HTTP clients of the three services: a request for each command, an outcome for each answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tenacity import Retrying, retry_if_result, stop_after_attempt, wait_random_exponential

from saga_orchestrator.config import Settings
from saga_orchestrator.domain import CartRefused, Checkout
from saga_orchestrator.engine import Outcome, Refused, Succeeded, Unknown
from shared.http_client import PEER_FAILED, Peer, Reply

# Client errors that say "not now" rather than "no": timeout, too early, too many requests.
NOT_NOW = frozenset({408, 425, 429})


@dataclass(frozen=True)
class Request:
    """What to ask of which service; `path` is filled in with what is checked out."""

    service: str
    method: str
    path: str
    body: Mapping[str, Any] | None


@dataclass(frozen=True)
class Try:
    """One HTTP request of an attempt, for the timeline."""

    started_at: datetime
    finished_at: datetime
    outcome: Outcome


def get(service: str, path: str) -> Callable[[Checkout], Request]:
    """Read from a service."""
    return lambda checkout: Request(service, "GET", _filled(path, checkout), None)


def post(service: str, path: str, body: Callable[[Checkout], Mapping[str, Any]]) -> Callable[[Checkout], Request]:
    """Have a service do something."""
    return lambda checkout: Request(service, "POST", _filled(path, checkout), body(checkout))


def _filled(path: str, checkout: Checkout) -> str:
    return path.format_map(vars(checkout)) if "{" in path else path


class Participants:
    """The three services; safe to use from many threads."""

    def __init__(self, settings: Settings, sleep: Callable[[float], None]) -> None:
        """`sleep` waits between tries and may be cut short when the process is told to stop."""
        self._peers = {
            "carrito": Peer("carrito", settings.carrito_service_url, settings.call_seconds),
            "inventario": Peer("inventario", settings.inventario_service_url, settings.call_seconds),
            "pagos": Peer("pagos", settings.pagos_service_url, settings.call_seconds),
        }
        self._tries = settings.tries_per_attempt
        self._sleep = sleep

    def ask(self, request: Request, take: Callable[[Mapping[str, Any]], None], tried: Callable[[Try], None]) -> Outcome:
        """One attempt: a few tries in quick succession while the outcome is unknown. Each is told to `tried`.

        `take` gets the body of a success, and may refuse it with `CartRefused`.
        """
        retrying = Retrying(
            retry=retry_if_result(lambda outcome: isinstance(outcome, Unknown)),
            stop=stop_after_attempt(self._tries),
            wait=wait_random_exponential(multiplier=0.05, max=1),
            sleep=self._sleep,
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )
        return retrying(self._try, request, take, tried)

    def _try(
        self, request: Request, take: Callable[[Mapping[str, Any]], None], tried: Callable[[Try], None]
    ) -> Outcome:
        started_at = datetime.now(UTC)
        try:
            reply = self._peers[request.service].request(request.method, request.path, request.body, {})
            outcome = outcome_of(reply, request.service)
            if isinstance(outcome, Succeeded):
                take(reply.body)
        except PEER_FAILED as error:
            outcome = Unknown(error.detail)
        except CartRefused as error:
            outcome = Refused(error.detail)
        tried(Try(started_at, datetime.now(UTC), outcome))
        return outcome


def outcome_of(reply: Reply, service: str) -> Outcome:
    """2xx is done, 4xx is a definite no, all else may or may not have been done."""
    if 200 <= reply.status < 300:
        return Succeeded()
    detail = f"{service}: HTTP {reply.status}: {reply.body.get('detail', '')}".rstrip(": ")
    if 400 <= reply.status < 500 and reply.status not in NOT_NOW:
        return Refused(detail)
    return Unknown(detail)

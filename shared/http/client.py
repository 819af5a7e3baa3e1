"""HTTP client for other services: kept connections, short time limits, exact JSON, three kinds of errors."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import requests
from pydantic import BaseModel, SecretStr, StrictInt, ValidationError
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import requote_uri
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from shared import telemetry
from shared.errors import InDoubt, RepeatedRefusal, Unavailable
from shared.json_codec import dumps, loads

CONNECT_SECONDS = 1.0  # a service on the same network answers at once or not at all
READ_SECONDS = 5.0  # ten times the slowest answer under full load
KEPT = 256  # connections to one service: more than a process has threads
# Client errors that mean "not now" rather than "no": timeout, too early, too many requests; and those of a service that
# does not accept our token or the name that we call it by, and so has not looked at the request.
NOT_NOW = frozenset({401, 403, 421, 408, 425, 429})
OWN_PROBLEMS = "/problems/"  # begins the types of our services' problems; a gateway's have others
NO_SUCH_PATH = "/problems/not-found"  # the type of a 404 that says nothing about what was looked for

M = TypeVar("M", bound=BaseModel)


class PeerUnavailable(Unavailable):
    """Another service is not there."""


class PeerSilent(InDoubt):
    """Another service did not answer, or not sensibly; what was requested may have been done."""


class PeerRefused(RepeatedRefusal):
    """Another service's refusal, passed on with its own problem document."""


PEER_FAILED = (PeerUnavailable, PeerSilent)


class Problem(BaseModel):
    """The members that every problem of our services has (RFC 9457)."""

    type: str
    title: str
    detail: str


class _Outcome(BaseModel):
    status: StrictInt
    body: dict[str, Any]


class _Outcomes(BaseModel):
    outcomes: list[_Outcome]


@dataclass(frozen=True)
class Reply:
    """What a service answered; `body` is its JSON object.

    Callers read it through a model of what they need of it, so that an answer that is not what its contract says (an
    older version's, a gateway's) fails at this one place, and like no answer.
    """

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str]

    def success(self, kind: type[M]) -> M:
        """Return the body of a success as this model; raise `PeerRefused` for a refusal with its problem document.

        Raises one of `PEER_FAILED` for anything else, also for a body that does not fit.
        """
        if 200 <= self.status < 300:
            return self._read(kind)
        if 400 <= self.status < 500 and self.status not in NOT_NOW:
            self._read(Problem)
            raise PeerRefused({**self.body, "status": self.status})
        failed = PeerUnavailable if self.status in {503, *NOT_NOW} else PeerSilent
        raise failed(f"HTTP {self.status}: {self.body.get('detail', '')}")

    def success_if_found(self, kind: type[M]) -> M | None:
        """Return what was read by its id; None when the service says that it has no such thing.

        Raises one of `PEER_FAILED` for anything else: reading is refused for no other reason.
        """
        try:
            return self.success(kind)
        except PeerRefused as refused:
            kind_of_problem = str(refused.problem["type"])
            if self.status == 404 and kind_of_problem.startswith(OWN_PROBLEMS) and kind_of_problem != NO_SUCH_PATH:
                return None
            raise PeerSilent(f"HTTP {self.status}: {refused.detail}") from refused

    def outcomes(self, count: int) -> list["Reply"]:
        """Split an answer of `POST /saga-commands` into the replies to its commands; errors as of `success`.

        Raises `PeerSilent`, too, when there is not one for each command.
        """
        replies = [Reply(one.status, one.body, {}) for one in self.success(_Outcomes).outcomes]
        if len(replies) != count:
            raise PeerSilent("not an outcome for each command")
        return replies

    def _read(self, kind: type[M]) -> M:
        try:
            return kind.model_validate(self.body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            field = ".".join(map(str, first["loc"])) or "the body"
            raise PeerSilent(f"HTTP {self.status} with an answer that does not fit: {field}: {first['msg']}") from error


class Peer:
    """One other service. Safe to use from many threads: each call takes a connection that is free, or makes one."""

    def __init__(
        self, name: str, base_url: str, service_token: SecretStr | None, read_seconds: float = READ_SECONDS
    ) -> None:
        """Every request comes with the token, when there is one."""
        self.name = name
        self._credentials = (
            {} if service_token is None else {"Authorization": f"Bearer {service_token.get_secret_value()}"}
        )
        self._base_url = base_url.rstrip("/")
        self._timeout = (CONNECT_SECONDS, read_seconds)
        self._connections = HTTPAdapter(pool_maxsize=KEPT)

    def get(self, path: str) -> Reply:
        """Read; raises one of `PEER_FAILED`."""
        return self.request("GET", path, None, {})

    def post(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Reply:
        """Request a change; raises one of `PEER_FAILED`. After `PeerSilent` the change may have been made."""
        return self.request("POST", path, body, headers or {})

    def request(
        self, method: str, path: str, body: Mapping[str, Any] | None, headers: Mapping[str, str], wait: float = 0
    ) -> Reply:
        """One request, not repeated; `wait` seconds are added to the time limit.

        Raises one of `PEER_FAILED`, and `ValueError`, before anything is sent, for headers that HTTP can't hold.
        """
        with telemetry.span(f"{method} {self.name}", "CLIENT", headers.get("traceparent")) as span:
            reply = self._request(method, path, body, {**headers, **self._credentials, **span.headers}, wait)
            span.tell({"http.request.method": method, "http.response.status_code": reply.status})
        return reply

    def _request(
        self, method: str, path: str, body: Mapping[str, Any] | None, headers: Mapping[str, str], wait: float
    ) -> Reply:
        request = _prepared(method, self._base_url + path, None if body is None else dumps(body), headers)
        connect, read = self._timeout
        try:
            response = self._connections.send(request, timeout=(connect, read + wait))
            content = response.content  # read here, within the `try`: a peer that dies may have sent only a part
        except requests.RequestException as error:
            failed = PeerUnavailable if _was_not_sent(error) else PeerSilent
            raise failed(f"{self.name}: {_reason(error)}", service=self.name) from error
        try:
            answer = loads(content)
        except ValueError as error:
            raise PeerSilent(f"{self.name}: HTTP {response.status_code} without JSON", service=self.name) from error
        if not isinstance(answer, dict):
            raise PeerSilent(f"{self.name}: HTTP {response.status_code} without a JSON object", service=self.name)
        return Reply(response.status_code, answer, response.headers)


def _prepared(method: str, url: str, data: str | None, headers: Mapping[str, str]) -> requests.PreparedRequest:
    """Build the request without `requests.Session`, whose cookies, redirects, logins and proxies services don't use.

    Those features take two fifths of a call's CPU time.
    """
    request = requests.PreparedRequest()
    request.method = method
    request.url = requote_uri(url)
    request.headers = CaseInsensitiveDict(headers)
    if data is not None:
        request.body = data.encode()
        request.headers["Content-Type"] = "application/json"
        request.headers["Content-Length"] = str(len(request.body))
    return request


def _was_not_sent(error: requests.RequestException) -> bool:
    """Whether the request failed before a connection was made."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(reason, NewConnectionError | ConnectTimeoutError)


def _reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.ConnectionError):
        return "connection refused or broken"
    return type(error).__name__

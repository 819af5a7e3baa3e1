"""The driver's HTTP client, the same for all styles: one keep-alive session for each of its threads."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests

from shared.json_codec import dumps, loads
from stack import local_http, settings
from stack.errors import StackError

TIMEOUT = (1.0, 60.0)  # seconds to connect, and to answer: twice the longest wait that is requested
Json = dict[str, Any]


class UnexpectedAnswer(StackError):
    """A service did not answer, or not as expected, so the measurement is worthless."""


@dataclass(frozen=True)
class Reply:
    """The answer of a service."""

    status: int
    body: Json
    headers: Mapping[str, str]


class Client:
    """One session, for one thread at a time."""

    def __init__(self, urls: Mapping[str, str]) -> None:
        """`urls` are the services' URLs by name."""
        self._urls = urls
        self._session = local_http.session()
        self._session.headers.update(
            {"Content-Type": "application/json", "User-Agent": "bench", **settings.credentials()}
        )

    def post(
        self, service: str, path: str, body: Json, *expected: int, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Raises `UnexpectedAnswer` unless the status is one of those expected."""
        return self._request("POST", service, path, expected, data=dumps(body), headers=headers)

    def get(self, service: str, path: str) -> Reply:
        """Raises `UnexpectedAnswer` unless the status is 200."""
        return self._request("GET", service, path, (200,))

    def put(self, service: str, path: str, body: Json) -> Reply:
        """Raises `UnexpectedAnswer` unless the status is 200."""
        return self._request("PUT", service, path, (200,), data=dumps(body))

    def delete(self, service: str, path: str) -> Reply:
        """Raises `UnexpectedAnswer` unless the status is 200."""
        return self._request("DELETE", service, path, (200,))

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _request(self, method: str, service: str, path: str, expected: tuple[int, ...], **how: Any) -> Reply:
        url = self._urls[service] + path
        try:
            response = self._session.request(method, url, timeout=TIMEOUT, **how)
        except requests.RequestException as error:
            raise UnexpectedAnswer(f"No answer from {url}: {error}") from error
        if response.status_code not in expected:
            raise UnexpectedAnswer(f"{method} {url} was answered {response.status_code}: {response.text.strip()}")
        return Reply(response.status_code, loads(response.content), response.headers)

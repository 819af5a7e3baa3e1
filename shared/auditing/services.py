"""Reads the audited services over HTTP."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, SecretStr, ValidationError

from shared.http.client import PEER_FAILED, Peer

READ_SECONDS = 60.0  # a first audit reads whole tables before it answers

M = TypeVar("M", bound=BaseModel)


class AuditUnreadable(Exception):
    """A service can't be read; the message says which one, and why."""


class Services:
    """The services by name. Thread-safe."""

    def __init__(self, urls: Mapping[str, str], token: SecretStr | None) -> None:
        """`token` is that of the services or of an operator; None where none is needed."""
        self._urls = dict(urls)
        self._peers = {name: Peer(name, url, token, READ_SECONDS) for name, url in urls.items()}

    def __iter__(self) -> Iterator[str]:
        return iter(self._urls)

    def read(self, service: str, path: str, kind: type[M], body: Mapping[str, Any] | None = None) -> M:
        """GET from a service, or POST when there is a body; raises `AuditUnreadable`."""
        peer, where = self._peers[service], f"{self._urls[service]}{path}"
        try:
            reply = peer.get(path) if body is None else peer.post(path, body)
        except PEER_FAILED as error:
            raise AuditUnreadable(f"{error.detail} ({where})") from error
        if reply.status != 200:
            raise AuditUnreadable(f"{service}: HTTP {reply.status} ({where})")
        try:
            return kind.model_validate(reply.body)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"])) or "the answer"
            raise AuditUnreadable(f"{service}: this is no audit: {field}: {first['msg']} ({where})") from error

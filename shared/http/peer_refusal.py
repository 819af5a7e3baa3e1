"""Passing on what another service refused, in its own words."""

from collections.abc import Mapping
from typing import Any

from shared.errors import RepeatedRefusal
from shared.http.client import PeerSilent, PeerUnavailable, Reply

NOT_LET_IN = frozenset({401, 403, 421})  # said to this service and not to its client: its token, or a name


class Relayed(RepeatedRefusal):
    """Another service's refusal."""


def relayed(reply: Reply) -> Mapping[str, Any]:
    """The body of a success; raises `Relayed` for a refusal, one of `PEER_FAILED` when the service failed."""
    if reply.status >= 500:
        failed = PeerUnavailable if reply.status == 503 else PeerSilent
        raise failed(f"HTTP {reply.status}: {reply.body.get('detail', '')}")
    if reply.status in NOT_LET_IN:
        raise PeerUnavailable(f"HTTP {reply.status}: {reply.body.get('detail', '')}")
    if reply.status >= 400:
        raise Relayed({**reply.body, "status": reply.status})
    return reply.body


def relayed_if_there(reply: Reply) -> Mapping[str, Any] | None:
    """As `relayed`; None when there is no such thing."""
    return None if reply.status == 404 else relayed(reply)

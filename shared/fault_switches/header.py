"""`X-Fault`: the faults of one saga. A checkout's request names them; they are stored with the saga and passed on.

Without `FAULTS=true` the header is ignored. With it, a checkout with the header needs an operator's token, if set.
"""

from flask import Flask, g, has_request_context, request

from shared.errors import DomainError
from shared.fault_switches.model import Fault, parse
from shared.http.access import Who, require, who_may_ask

HEADER = "X-Fault"


def install(app: Flask) -> None:
    """Read the header of each request; requests fail with `InvalidFault`, or `Unauthorized` without the token."""

    @app.before_request
    def bring() -> None:
        told = request.headers.get(HEADER)
        if told is None or request.endpoint is None:
            return
        if who_may_ask(app, request.endpoint) is Who.EVERYBODY:
            require(Who.SERVICES if _is_handed_over() else Who.OPERATORS)
        parse(told)
        g.fault = told


def _is_handed_over() -> bool:
    """Whether a service hands over an accepted checkout: only such a request names the saga."""
    return request.is_json and request.get_json().get("saga_id") is not None


def current_fault() -> str | None:
    """Return the current request's header; None without one."""
    return g.get("fault") if has_request_context() else None


def faults_of(text: str | None) -> tuple[Fault, ...]:
    """Parse a stored header; no faults for one that this version does not know."""
    try:
        return () if text is None else parse(text)
    except DomainError:
        return ()


def headers_of(text: str | None) -> dict[str, str]:
    """Return the header that passes these faults on."""
    return {} if text is None else {HEADER: text}

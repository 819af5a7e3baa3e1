"""Administrative endpoints: for whoever has the token, once one is set (`ADMIN_TOKEN`)."""

import hmac
import ipaddress
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from flask import Flask, Response, current_app, request

from shared.config import ServiceSettings
from shared.openapi import problem
from shared.web import http_problem, problem_response

View = TypeVar("View", bound=Callable[..., Response])

SCHEME = "admin_token"
_MARK = "admin_only"
_DESCRIPTION = "The value of ADMIN_TOKEN; needed once that is set."


class Exposed(RuntimeError):
    """The service could be administered by anybody who reaches it; gunicorn shows a RuntimeError as what it is."""


def admin_only(view: View) -> View:
    """Marks a view, under its route, as one that an administrator asks for."""
    setattr(view, _MARK, True)
    return view


def guard(app: Flask, settings: ServiceSettings) -> None:
    """Refuse administrative requests without the token (401), before anything else is said about them."""
    app.config["OPEN_TO_ALL"] = settings.admin_token is None
    if settings.admin_token is None:
        return
    expected = f"Bearer {settings.admin_token.get_secret_value()}".encode()

    @app.before_request
    def refuse() -> Response | None:
        if not _is_administrative(request.endpoint):
            return None
        said = request.headers.get("Authorization", "").encode()
        if hmac.compare_digest(said, expected):
            return None
        wrong = ', error="invalid_token"' if said else ""
        needed = {"WWW-Authenticate": f'Bearer realm="administration"{wrong}'}
        return problem_response(http_problem(401, "this needs the token of an administrator"), needed)


def documented(app: Flask, document: dict[str, Any]) -> dict[str, Any]:
    """The OpenAPI document, with the security scheme for those operations that need the token."""
    for rule in app.url_map.iter_rules():
        path = document["paths"].get(re.sub("<([^<>]*:)?", "{", rule.rule).replace(">", "}"), {})
        for method in {name.lower() for name in rule.methods or ()} & path.keys():
            if getattr(app.view_functions[rule.endpoint], _MARK, False):
                path[method]["security"] = [*([{}] if app.config["OPEN_TO_ALL"] else []), {SCHEME: []}]
                path[method]["responses"]["401"] = problem("Not the token of an administrator")
                scheme = {"type": "http", "scheme": "bearer", "description": _DESCRIPTION}
                document["components"].setdefault("securitySchemes", {})[SCHEME] = scheme
    return document


def refuse_exposure(addresses: Iterable[object], settings: ServiceSettings) -> None:
    """Raise `Exposed` when one of gunicorn's addresses can be reached from elsewhere and nothing protects it.

    In a container, which is reached by way of where it is published, that is the address that counts.
    """
    if settings.admin_token is not None or settings.insecure_demo:
        return
    for address in [(settings.published_on,)] if settings.published_on else addresses:
        if not _is_local(address):
            raise Exposed(
                f"bound to {_words(address)}, beyond this machine, without ADMIN_TOKEN: anybody could administer it. "
                "Set ADMIN_TOKEN to a secret, or INSECURE_DEMO=true if that is what you want."
            )


def _is_administrative(endpoint: str | None) -> bool:
    return endpoint is not None and getattr(current_app.view_functions[endpoint], _MARK, False)


def _is_local(address: object) -> bool:
    """A path is a socket on this machine; a number is one that somebody else has opened, who knows where."""
    if isinstance(address, str):
        return True
    if not isinstance(address, tuple):
        return False
    host = str(address[0])
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _words(address: object) -> str:
    return ":".join(map(str, address)) if isinstance(address, tuple) else f"socket {address}"

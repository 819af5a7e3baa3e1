"""Who may call an endpoint: everybody, other services (`SERVICE_TOKEN`) or operators (`ADMIN_TOKEN`).

Each view is marked under its route with `public`, `services_only`, `admin_only` or `services_or_admin`; a view without
a mark is for services only. While a token is not set, as on a developer's machine, the endpoints that need it are open.
"""

import hmac
import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, TypeVar

from flask import Flask, Response, current_app, request
from pydantic import SecretStr
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized

from shared.config import ServiceSettings
from shared.http.openapi import problem

View = TypeVar("View", bound=Callable[..., Response])

SCHEME = "Bearer"
_MARK = "who_may_ask"
_TOKENS = ("service_token", "admin_token")  # settings, and security schemes of the OpenAPI document


class Who(Enum):
    """Who may call; the value names the accepted tokens. The endpoint is open while the first one is not set."""

    EVERYBODY = ()
    SERVICES = ("service_token",)
    OPERATORS = ("admin_token",)
    SERVICES_OR_OPERATORS = ("service_token", "admin_token")


def public(view: View) -> View:
    """Mark a view that everybody may call."""
    return _marked(view, Who.EVERYBODY)


def services_only(view: View) -> View:
    """Mark a view that only other services may call, such as a step of a saga."""
    return _marked(view, Who.SERVICES)


def admin_only(view: View) -> View:
    """Mark a view that operators may call."""
    return _marked(view, Who.OPERATORS)


def services_or_admin(view: View) -> View:
    """Mark a view that services and operators may call, such as adding stock."""
    return _marked(view, Who.SERVICES_OR_OPERATORS)


def _marked(view: View, who: Who) -> View:
    setattr(view, _MARK, who)
    return view


def who_may_ask(app: Flask, endpoint: str) -> Who | None:
    """Return the mark of the endpoint's view; None when it has none.

    Everybody may call what the framework adds (the OpenAPI document and its pages).
    """
    if endpoint in app.extensions["framework_endpoints"]:
        return Who.EVERYBODY
    who: Who | None = getattr(app.view_functions[endpoint], _MARK, None)
    return who


def guard(app: Flask, settings: ServiceSettings) -> None:
    """Answer 401 to requests without the token that their endpoint needs, before anything else is checked."""
    app.extensions["tokens"] = {name: _credentials(getattr(settings, name)) for name in _TOKENS}

    @app.before_request
    def refuse() -> None:
        if request.endpoint is not None:
            require(who_may_ask(app, request.endpoint) or Who.SERVICES)


def require(who: Who) -> None:
    """Raise `Unauthorized` unless the current request has a token of these callers, or none is needed."""
    accepted = [current_app.extensions["tokens"][name] for name in who.value]
    if not accepted or accepted[0] is None:
        return
    given = _with_scheme(request.headers.get("Authorization", "")).encode()
    if any(token is not None and hmac.compare_digest(given, token) for token in accepted):
        return
    realm = who.name.lower().replace("_", " ")
    error = {"error": "invalid_token"} if given else {}
    challenge = WWWAuthenticate(SCHEME, {"realm": realm, **error})
    raise Unauthorized(f"this is for {realm}, and needs their token", www_authenticate=challenge)


def _with_scheme(credentials: str) -> str:
    """Write the scheme as it is compared; a client may write it in any case (RFC 9110, section 11.1)."""
    scheme, blank, token = credentials.partition(" ")
    return f"{SCHEME}{blank}{token}" if scheme.lower() == SCHEME.lower() else credentials


def documented(app: Flask, document: dict[str, Any]) -> dict[str, Any]:
    """Add the security schemes to those operations of the OpenAPI document that need a token; return it."""
    for rule in app.url_map.iter_rules():
        who = who_may_ask(app, rule.endpoint) or Who.SERVICES
        path = document["paths"].get(re.sub("<([^<>]*:)?", "{", rule.rule).replace(">", "}"), {})
        for method in {name.lower() for name in rule.methods or ()} & path.keys() if who.value else ():
            is_open = app.extensions["tokens"][who.value[0]] is None
            path[method]["security"] = [*([{}] if is_open else []), *({name: []} for name in who.value)]
            path[method]["responses"]["401"] = problem("Without a token that it needs")
            for name in who.value:
                document["components"].setdefault("securitySchemes", {})[name] = _scheme(name)
    return document


def _scheme(name: str) -> Mapping[str, str]:
    description = f"The value of {name.upper()}; needed once that is set."
    return {"type": "http", "scheme": "bearer", "description": description}


def _credentials(token: SecretStr | None) -> bytes | None:
    return None if token is None else f"{SCHEME} {token.get_secret_value()}".encode()

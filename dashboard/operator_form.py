"""What operators type into forms, and their tokens.

Where the services want the operator's token, it is typed once and kept in this process (`operator_sessions.py`);
the browser has the session's id, in a cookie that no script and no other site's page can use.
"""

from collections.abc import Mapping
from typing import Any

from flask import current_app, request
from werkzeug.wrappers import Response as Answer

from dashboard.operator_sessions import OperatorSessions
from dashboard.service_client import TokenNeeded, fits_header
from shared.http.client import Reply

COOKIE = "operator_session"
EMPTY: Mapping[str, Any] = {"reason": "", "by": "", "error": "", "needs_token": False}  # a form, before it is filled in


def reason_and_name() -> dict[str, str]:
    """Return the reason and the name in the form."""
    return {name: request.form.get(name, "").strip() for name in ("reason", "by")}


def typed_token() -> str:
    """Return the token typed into the form; empty without. Raises `TokenNeeded` for what no header can hold."""
    typed = request.form.get("token", "").strip()
    if not fits_header(typed):
        raise TokenNeeded
    return typed


def token() -> str:
    """Return the token of this viewer's session; empty without."""
    return _sessions().token_of(request.cookies.get(COOKIE, ""))


def keep_token(answer: Answer, typed: str) -> Answer:
    """Begin a session with the typed token, if any, which a service accepted; return the answer."""
    if typed:
        session = _sessions().begin(typed)
        answer.set_cookie(COOKIE, session, httponly=True, samesite="Strict", secure=request.is_secure)
    return answer


def forget_token(answer: Answer) -> Answer:
    """End the session of this viewer, and return the answer."""
    _sessions().end(request.cookies.get(COOKIE, ""))
    answer.delete_cookie(COOKIE, httponly=True, samesite="Strict", secure=request.is_secure)
    return answer


def _sessions() -> OperatorSessions:
    return current_app.extensions["operators"]  # type: ignore[no-any-return]


def refused(reply: Reply, used: str) -> Mapping[str, Any]:
    """Return the fields with which a form shows a refusal; `used` is the token that was sent, empty without."""
    if reply.status == 401:
        error = "That is not the operator's token." if used else "This needs the operator's token."
        return {"error": error, "needs_token": True}
    return {"error": str(reply.body.get("detail") or f"HTTP {reply.status}"), "needs_token": False}

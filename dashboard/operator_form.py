"""The operator at a page: what he types into its form, and his token.

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
    """Why something is to be done, and who says so, as the form was filled in."""
    return {name: request.form.get(name, "").strip() for name in ("reason", "by")}


def typed_token() -> str:
    """The token that was typed into the form; empty without. Raises `TokenNeeded` for what no header can hold."""
    typed = request.form.get("token", "").strip()
    if not fits_header(typed):
        raise TokenNeeded
    return typed


def token() -> str:
    """The operator's token that this viewer has given; empty without."""
    return _sessions().token_of(request.cookies.get(COOKIE, ""))


def keep_token(answer: Answer, typed: str) -> Answer:
    """The answer, which begins a session with the token that was typed, if one was, and that a service accepted."""
    if typed:
        session = _sessions().begin(typed)
        answer.set_cookie(COOKIE, session, httponly=True, samesite="Strict", secure=request.is_secure)
    return answer


def forget_token(answer: Answer) -> Answer:
    """The answer, which ends the session of this viewer."""
    _sessions().end(request.cookies.get(COOKIE, ""))
    answer.delete_cookie(COOKIE, httponly=True, samesite="Strict", secure=request.is_secure)
    return answer


def _sessions() -> OperatorSessions:
    return current_app.extensions["operators"]  # type: ignore[no-any-return]


def refused(reply: Reply, used: str) -> Mapping[str, Any]:
    """How a form says that it was refused, and why; `used` is the token that was sent, empty without."""
    if reply.status == 401:
        error = "That is not the operator's token." if used else "This needs the operator's token."
        return {"error": error, "needs_token": True}
    return {"error": str(reply.body.get("detail") or f"HTTP {reply.status}"), "needs_token": False}

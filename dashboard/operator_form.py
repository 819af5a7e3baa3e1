"""The operator at a page: what he types into its form, and his token.

Where the services want the operator's token, it is asked for once and kept in a cookie that no script and no other
site's page can use; the dashboard has none of its own.
"""

from collections.abc import Mapping
from typing import Any

from flask import request
from werkzeug.wrappers import Response as Answer

from shared.http_client import Reply

COOKIE = "operator_token"
EMPTY: Mapping[str, Any] = {"reason": "", "by": "", "error": "", "needs_token": False}  # a form, before it is filled in


def reason_and_name() -> dict[str, str]:
    """Why something is to be done, and who says so, as the form was filled in."""
    return {name: request.form.get(name, "").strip()[:200] for name in ("reason", "by")}


def typed_token() -> str:
    """The token that was typed into the form; empty without."""
    return request.form.get("token", "").strip()


def token() -> str:
    """The operator's token that this viewer has given; empty without."""
    return request.cookies.get(COOKIE, "")


def keep_token(answer: Answer, typed: str) -> Answer:
    """The answer, with the token for this session of the browser if one was typed."""
    if typed:
        answer.set_cookie(COOKIE, typed, httponly=True, samesite="Strict", secure=request.is_secure)
    return answer


def refused(reply: Reply, used: str) -> Mapping[str, Any]:
    """How a form says that it was refused, and why; `used` is the token that was sent, empty without."""
    if reply.status == 401:
        error = "That is not the operator's token." if used else "This needs the operator's token."
        return {"error": error, "needs_token": True}
    return {"error": str(reply.body.get("detail") or f"HTTP {reply.status}"), "needs_token": False}

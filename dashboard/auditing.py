"""The books over HTTP: every rule of the audit, kept current, for viewers with the right token."""

from flask import Blueprint, Response, current_app

from dashboard import pages
from dashboard.auditor import Auditor
from dashboard.books import books_of
from dashboard.operator_form import token
from dashboard.services import services
from dashboard.web import html, now

routes = Blueprint("auditing", __name__)


@routes.get("/books")
def books() -> Response:
    """Show the state of every rule; begin an audit when one is due and all services can be reached."""
    away = services().without_books(token())
    auditor: Auditor = current_app.extensions["auditor"]
    known = auditor.look(token(), may_begin=not away)
    at = now()
    return html(pages.books_page(books_of(known, away, at), at))

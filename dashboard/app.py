"""The web application: `gunicorn dashboard.app:app`."""

import time
from functools import partial
from typing import TYPE_CHECKING

import structlog
from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from dashboard import acting, auditing, breaking, comparing, dead_letters, live, loading, operating, pages, receipts
from dashboard.auditor import Auditor
from dashboard.config import Settings
from dashboard.listing import Filters, StyleReading
from dashboard.operator_form import token
from dashboard.operator_sessions import OperatorSessions
from dashboard.routes import routes
from dashboard.service_client import Refused, TokenNeeded, Unreachable
from dashboard.services import Services
from dashboard.shared_readings import SharedReadings
from dashboard.streams import Streams
from dashboard.styles import STYLES
from dashboard.trends import RECENT_SECONDS, Trends
from dashboard.web import NO_PAGE, html
from shared.http import browsers
from shared.http.answers import KEPT_HEADERS, RETRY_AFTER_SECONDS, Answer, http_problem, problem_response, respond
from shared.logs import configure_logs

if TYPE_CHECKING:
    app: Flask

__all__ = ["app", "create_app"]

# No content of other sites and nothing inline, so that injected markup can run nothing.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
STATIC_SECONDS = 3600  # files change with a new version only; within the hour a reload fetches them
NOT_NOW = frozenset({503, 504})  # statuses whose answers have a Retry-After header
DATA = (".json", ".csv")  # ends of paths for programs, which get errors as problem+json
log = structlog.get_logger()


def create_app(settings: Settings) -> Flask:
    """The app for these settings; connects to nothing until the first request."""
    configure_logs("dashboard", settings.log_level)
    made = Flask("dashboard")
    made.config["SEND_FILE_MAX_AGE_DEFAULT"] = STATIC_SECONDS
    made.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    made.extensions["settings"] = settings
    made.extensions["services"] = services = Services(settings)
    made.extensions["operators"] = OperatorSessions()
    made.extensions["auditor"] = Auditor(services.audited)
    reads = {name: partial(services.changes, style) for name, style in STYLES.items()}
    made.extensions["streams"] = streams = Streams(reads, settings.dashboard_streams)
    made.extensions["front"] = SharedReadings[tuple[tuple[int, ...], Filters], list[StyleReading]]()
    made.extensions["trends"] = trends = Trends(partial(services.stats, RECENT_SECONDS))
    made.extensions["on_stop"] = [streams.stop, trends.stop]
    made.register_blueprint(routes)
    made.register_blueprint(acting.routes)
    made.register_blueprint(comparing.routes)
    made.register_blueprint(operating.routes)
    made.register_blueprint(dead_letters.routes)
    made.register_blueprint(breaking.routes)
    made.register_blueprint(receipts.routes)
    made.register_blueprint(auditing.routes)
    made.register_blueprint(live.routes)
    browsers.guard(made, "dashboard", settings)
    loading.install(made, settings)
    _add_headers(made)
    _add_errors(made)
    made.add_url_rule("/health", "health", _health)
    return made


def _health() -> Response:
    """Report that the dashboard is healthy, always: it has no dependency, and also shows that services are away."""
    return respond(Answer({"status": "ok", "service": "dashboard", "dependencies": {}}))


def _add_headers(made: Flask) -> None:
    @made.before_request
    def start() -> None:
        g.started = time.perf_counter()

    @made.after_request
    def finish(response: Response) -> Response:
        response.headers.extend(HEADERS)
        response.headers.setdefault("Cache-Control", "no-store")  # static files have the header already
        if response.status_code in NOT_NOW:
            response.headers.setdefault("Retry-After", RETRY_AFTER_SECONDS)
        seconds = time.perf_counter() - g.get("started", time.perf_counter())
        if request.path != "/health":
            told = {"method": request.method, "path": request.path, "status": response.status_code}
            log.info("request", **told, ms=round(seconds * 1e3, 1))
        return response


def _add_errors(made: Flask) -> None:
    @made.errorhandler(Unreachable)
    def unreachable(error: Unreachable) -> Response:
        return _error(503, "Not everything can be reached", str(error), error.peers)

    @made.errorhandler(TokenNeeded)
    def token_needed(_: TokenNeeded) -> Response:
        markup = pages.token_page(request.full_path.rstrip("?"), was_wrong=bool(token()))
        return html(markup, 401)

    @made.errorhandler(Refused)
    def refused(error: Refused) -> Response:
        return _error(502, "A service refused to answer", str(error))

    @made.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        no_page = error.code == 404 and request.url_rule is None
        answer = _error(error.code or 500, error.name, NO_PAGE if no_page else error.description or "")
        answer.headers.extend([each for each in error.get_headers() if each[0] in KEPT_HEADERS])
        return answer

    @made.errorhandler(Exception)
    def other_error(_: Exception) -> Response:
        log.exception("unexpected error", path=request.path)
        return _error(500, "Unexpected error", "The dashboard's log says more.")


def _error(status: int, title: str, detail: str, peers: list[tuple[str, str]] | None = None) -> Response:
    if request.path.endswith(DATA):
        return problem_response(http_problem(status, detail))
    again = request.full_path.rstrip("?") if status == 503 and request.method == "GET" else ""
    return html(pages.error_page(status, title, detail, peers, again), status)


def __getattr__(name: str) -> Flask:
    """`app` is made at its first use, so that importing this module does nothing."""
    if name != "app":
        raise AttributeError(name)
    globals()["app"] = create_app(Settings())
    return globals()["app"]  # type: ignore[no-any-return]

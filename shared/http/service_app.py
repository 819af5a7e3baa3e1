"""The web application of every service: OpenAPI, problems, health, metrics, audit, one log line for each request."""

import inspect
import sys
import time
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import structlog
from flask import Response, g, request
from flask_openapi import APIBlueprint, Info, OpenAPI
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector
from sqlalchemy import text
from werkzeug.exceptions import HTTPException
from werkzeug.routing import BaseConverter, Map

from shared import VERSION, telemetry
from shared.auditing.endpoint import Audit, audit_routes
from shared.config import ServiceSettings
from shared.database.connections import CommitInDoubt, Database, is_unavailable
from shared.database.metrics import PoolMetrics, StateMetrics
from shared.errors import DomainError
from shared.fault_switches import header
from shared.http import access, browsers, tracing
from shared.http.access import public
from shared.http.answers import (
    KEPT_HEADERS,
    Answer,
    JsonRequest,
    http_problem,
    invalid_fields,
    problem_response,
    respond,
    respond_problem,
)
from shared.http.front_page import add_front_page
from shared.http.health import Check, SharedCheck
from shared.http.metrics import RequestMetrics
from shared.http.openapi import Problem, complete
from shared.json_codec import ExactJson
from shared.logs import configure_logs
from shared.metrics import PROCESS
from shared.process import crash_points, metrics_server
from shared.process.metrics_server import METRICS_SERVER

PING_SECONDS = 1.5  # time limit of the health check's queries, shorter than that of the check's callers
# Larger than the `work_mem` that `_ping` sets, so PostgreSQL writes it to a temporary file, which fails on a full disk.
SPILL = "SELECT count(*) FROM generate_series(1, 5000)"
IN_DOUBT = "the database went away during the commit: it may have been done; ask again, under the same Idempotency-Key"
_OBJECT = {"description": "OK", "content": {"application/json": {"schema": {"type": "object"}}}}
log = structlog.get_logger()


class ServiceApp(OpenAPI):
    """Flask with an OpenAPI 3.1 document at /openapi/openapi.json and its pages at /openapi/."""

    request_class = JsonRequest
    json_provider_class = ExactJson

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function itself: no view is a coroutine, and Flask would check several times in each request."""
        return func

    def generate_spec_json(self) -> None:
        """Complete the document with what all operations share."""
        super().generate_spec_json()  # type: ignore[no-untyped-call]
        self.spec_json = access.documented(self, complete(self.spec_json))


class OtherThan(BaseConverter):
    """An id in a path, except for these words: `GET /products/reserve` is 405, not an unknown product."""

    def __init__(self, url_map: Map, *words: str) -> None:
        super().__init__(url_map)
        self.regex = rf"(?!(?:{'|'.join(words)})(?:/|$))[^/]+"


def create_service_app(
    db: Database,
    settings: ServiceSettings,
    routes: APIBlueprint,
    audit: Audit,
    checks: Mapping[str, Check],
) -> ServiceApp:
    """Create a service's app; `checks` are the health checks of its dependencies beside the database."""
    configure_logs(db.service, settings.log_level)
    telemetry.start(db.service, settings.otel_exporter_otlp_endpoint)
    about = _about(db.service)
    app = ServiceApp(
        db.service,
        info=Info(title=db.service, version=VERSION, description=about),
        validation_error_model=Problem,
        validation_error_callback=invalid_fields,
    )
    app.extensions["settings"] = settings
    app.extensions["framework_endpoints"] = frozenset(app.view_functions)  # those added so far
    app.openapi_version = "3.1.0"
    app.config["SWAGGER_CONFIG"] = {"validatorUrl": None}  # or the page loads a badge from another site
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.url_map.strict_slashes = False
    db.attach(app, settings)
    tracing.install(app)
    app.url_map.converters["other_than"] = OtherThan
    app.register_api(routes)
    app.register_api(audit_routes(db, audit))
    _add_problems(app)
    browsers.guard(app, db.service, settings)
    access.guard(app, settings)
    if settings.faults:
        header.install(app)
    add_front_page(app, db.service, about)
    _add_monitoring(app, db, {"database": lambda: _ping(db), **checks})
    _refuse_unread_queries(app)
    return app


def _about(service: str) -> str:
    """Return the service's description, which is the docstring of its package."""
    text = inspect.getdoc(sys.modules.get(service)) or service
    return text.removeprefix(f"{service}: ")


def _refuse_unread_queries(app: ServiceApp) -> None:
    """Answer 422 to a query at an endpoint that reads none; the others check theirs by its schema."""

    @app.before_request
    def refuse() -> Response | None:
        endpoint = request.endpoint
        if not request.query_string or endpoint is None or endpoint in app.extensions["framework_endpoints"]:
            return None
        if request.path in browsers.PROBED or _reads_query(app.view_functions[endpoint]):
            return None
        errors = [{"field": name, "detail": "this endpoint reads no query"} for name in request.args]
        return problem_response(http_problem(422, f"does not fit: {', '.join(request.args)}", errors=errors))


@cache
def _reads_query(view: Callable[..., Any]) -> bool:
    return "query" in inspect.signature(view).parameters


def _ping(db: Database) -> None:
    """Raise when the database does not answer in time, is read-only, or its disk is full."""
    with db.transaction(PING_SECONDS) as connection:
        if connection.scalar(text("SELECT current_setting('transaction_read_only')")) == "on":
            raise ConnectionError("the database is read-only")
        connection.execute(text("SET LOCAL work_mem = '64kB'"))
        connection.execute(text(SPILL))


def _add_monitoring(app: ServiceApp, db: Database, checks: Mapping[str, Check]) -> None:
    of_process = CollectorRegistry()  # all that a worker shows
    of_process.register(PROCESS)
    ProcessCollector(registry=of_process)  # its CPU, memory, open files and start
    pools = app.extensions["pools"] = PoolMetrics(db, app)
    of_process.register(pools)
    address = app.extensions["settings"].metrics_address
    app.extensions[METRICS_SERVER] = partial(metrics_server.served, address, of_process)
    registry = app.extensions["metrics"] = CollectorRegistry()
    registry.register(of_process)
    state = app.extensions["state_metrics"] = StateMetrics(db)
    registry.register(state)
    metrics = RequestMetrics(registry, db.service)
    shared_checks = {name: SharedCheck(check) for name, check in checks.items()}

    @app.before_request
    def start() -> None:
        g.started = time.perf_counter()

    @app.after_request
    def finish(response: Response) -> Response:
        seconds = time.perf_counter() - g.get("started", time.perf_counter())
        route = request.url_rule.rule if request.url_rule else "(none)"
        metrics.observe(request.method, route, response.status_code, seconds)
        if route not in {"/health", "/metrics"}:
            log.info(
                "request",
                method=request.method,
                path=request.path,
                status=response.status_code,
                ms=round(seconds * 1e3, 1),
            )
        crash_points.reach(f"{db.service}.{request.method} {route}.before_answer")
        return response

    @app.get("/health", summary="Alive, and what it needs is there", responses={200: _OBJECT})
    @public
    def health() -> Response:
        found = {name: check.get() for name, check in shared_checks.items()}
        missing = [f"{name}: {state}" for name, state in found.items() if state != "ok"]
        if missing:
            problem = http_problem(503, "; ".join(missing), service=db.service, dependencies=found)
            return problem_response(problem)
        return respond(Answer({"status": "ok", "service": db.service, "dependencies": found}))

    @app.get("/metrics", summary="Prometheus metrics", responses={200: {"content": {"text/plain": {}}}})
    @public
    def show_metrics() -> Response:
        return Response(metrics.render(), content_type=CONTENT_TYPE_LATEST)


def _add_problems(app: ServiceApp) -> None:
    @app.errorhandler(DomainError)
    def domain_error(error: DomainError) -> Response:
        return respond_problem(error)

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        if error.response is not None:  # a response made by validation
            return error.response  # type: ignore[return-value]
        kept = {name: value for name, value in error.get_headers() if name in KEPT_HEADERS}
        return problem_response(http_problem(error.code or 500, error.description or ""), kept)

    @app.errorhandler(Exception)
    def other_error(error: Exception) -> Response:
        if is_unavailable(error):
            log.warning("database unavailable", error=str(error).splitlines()[0])
            if isinstance(error, CommitInDoubt) and request.method not in {"GET", "HEAD"}:
                return problem_response(http_problem(504, IN_DOUBT))
            return problem_response(http_problem(503, "the database is not available"))
        log.exception("unexpected error", path=request.path)
        return problem_response(http_problem(500, "unexpected error; see the service's log"))

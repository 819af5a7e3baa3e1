"""Records a span for each request that a service answers, and passes its context on."""

from flask import Flask, Response, g, request

from shared import telemetry, trace
from shared.http.browsers import PROBED


def context() -> str | None:
    """Return the `traceparent` of this request's span; if the request is not recorded, that of its header, if any."""
    return telemetry.current() or request.headers.get("traceparent")


def install(app: Flask) -> None:
    """Record requests as children of the spans that their `traceparent` headers name; runs before all other hooks."""
    if not telemetry.enabled():
        return

    @app.before_request
    def begin() -> None:
        if request.path in PROBED:
            return
        route = request.url_rule.rule if request.url_rule else "(none)"
        parent = trace.valid(request.headers.get("traceparent")) or telemetry.ROOT
        told = {"http.request.method": request.method, "http.route": route, "url.path": request.path}
        g.span = telemetry.begin(f"{request.method} {route}", "SERVER", parent, attributes=told)
        g.span_token = telemetry.enter(g.span)

    @app.after_request
    def answered(response: Response) -> Response:
        if "span" in g:
            g.span.tell({"http.response.status_code": response.status_code})
            g.span.end(str(response.status_code) if response.status_code >= 500 else None)
        return response

    @app.teardown_request
    def end(error: BaseException | None) -> None:
        if "span_token" in g:
            g.span.end(None if error is None else type(error).__name__)
            telemetry.leave(g.pop("span_token"))

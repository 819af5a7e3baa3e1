"""Prometheus metrics of a web process."""

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})  # a client can invent others


class RequestMetrics:
    """Counts requests by route and status, and measures their durations in seconds."""

    def __init__(self, registry: CollectorRegistry, service: str) -> None:
        self._registry = registry
        self._service = service
        self._seconds = Histogram(
            "http_request_duration_seconds",
            "Time to answer",
            ["service", "method", "route"],
            registry=registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
        )
        self._children: dict[tuple[str, str, int], tuple[Histogram, Counter]] = {}
        self._total = Counter(
            "http_requests", "Requests answered", ["service", "method", "route", "status"], registry=registry
        )

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        key = (method if method in METHODS else "other", route, status)
        children = self._children.get(key)
        if children is None:
            children = self._children[key] = self._of(*key)
        children[0].observe(seconds)
        children[1].inc()

    def _of(self, method: str, route: str, status: int) -> tuple[Histogram, Counter]:
        """Look up the labelled metrics, which takes longer than counting, so the result is cached."""
        seconds = self._seconds.labels(self._service, method, route)
        return seconds, self._total.labels(self._service, method, route, str(status))

    def render(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        return generate_latest(self._registry)

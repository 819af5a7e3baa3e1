"""Prometheus metrics of a web process."""

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})  # a client can make up others


class RequestMetrics:
    """How many requests, how they ended and how long they took (seconds), by route."""

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
        self._total = Counter(
            "http_requests", "Requests answered", ["service", "method", "route", "status"], registry=registry
        )

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        method = method if method in METHODS else "other"
        self._seconds.labels(self._service, method, route).observe(seconds)
        self._total.labels(self._service, method, route, str(status)).inc()

    def render(self) -> bytes:
        """The text exposition of all that was counted."""
        return generate_latest(self._registry)

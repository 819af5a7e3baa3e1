"""Metrics of a web process."""

from prometheus_client import CollectorRegistry

from shared.http.metrics import RequestMetrics


def rendered(*requests: tuple[str, str, int, float]) -> list[str]:
    metrics = RequestMetrics(CollectorRegistry(), "demo")
    for request in requests:
        metrics.observe(*request)
    return metrics.render().decode().splitlines()


def test_requests_are_counted_by_route_and_status_and_timed_by_route() -> None:
    lines = rendered(
        ("POST", "/x", 201, 0.5), ("POST", "/x", 201, 0.25), ("POST", "/x", 409, 0.25), ("GET", "/x", 200, 1)
    )
    assert 'http_requests_total{method="POST",route="/x",service="demo",status="201"} 2.0' in lines
    assert 'http_requests_total{method="POST",route="/x",service="demo",status="409"} 1.0' in lines
    assert 'http_requests_total{method="GET",route="/x",service="demo",status="200"} 1.0' in lines
    assert 'http_request_duration_seconds_sum{method="POST",route="/x",service="demo"} 1.0' in lines
    assert 'http_request_duration_seconds_count{method="POST",route="/x",service="demo"} 3.0' in lines


def test_methods_that_clients_make_up_are_one() -> None:
    lines = rendered(("BREW", "/x", 405, 0), ("STEEP", "/x", 405, 0))
    assert 'http_requests_total{method="other",route="/x",service="demo",status="405"} 2.0' in lines

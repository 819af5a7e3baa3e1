"""What the benchmark reads from counters."""

from bench.counts import Counts, requests_in

METRICS = """\
# HELP http_requests_total Requests
http_requests_total{method="POST",route="/api/products/reserve",status="201"} 5.0
http_requests_total{method="GET",route="/saga/<saga_id>",status="200"} 2.0
http_requests_total{method="GET",route="/metrics",status="200"} 40.0
http_requests_total{method="GET",route="/health",status="200"} 30.0
"""


def test_requests_that_only_look_at_a_service_are_not_counted() -> None:
    assert requests_in(METRICS) == 7


def test_counts_are_differences() -> None:
    assert Counts(9, 8, 7, 6).since(Counts(1, 2, 3, 4)) == Counts(8, 6, 4, 2)


def test_statements_that_postgresql_does_not_count_stay_unknown() -> None:
    assert Counts(9, 8, 7, None).since(Counts(1, 2, 3, None)).statements is None

"""The broker's headers of a message, told apart from the publisher's."""

from typing import Any

import pytest

from shared.messaging.delivery import Delivery


def given_back(redelivered: bool, **counts: Any) -> int:
    headers = {f"x-{name}-count": value for name, value in counts.items()}
    return Delivery(1, headers, None, b"", "inventory.reserved", redelivered=redelivered).given_back


def test_the_brokers_count_is_taken() -> None:
    assert given_back(True, delivery=3) == 3, "RabbitMQ 3"
    assert given_back(True, delivery=3, acquired=4) == 3, "RabbitMQ 4"


def test_a_message_that_comes_for_the_first_time_was_never_given_back_whatever_it_says() -> None:
    assert given_back(False, delivery=50) == 0
    assert given_back(False, delivery=50, acquired=50) == 0
    assert given_back(False) == 0
    assert given_back(False, delivery=0) == 0


def test_what_was_handed_back_without_having_failed_is_not_counted_by_what_its_publisher_wrote() -> None:
    """RabbitMQ 4 then writes only how often it was acquired, and leaves the publisher's other header as it is."""
    assert given_back(True, delivery=50, acquired=1) == 1
    assert given_back(True, acquired=2) == 0


@pytest.mark.parametrize("count", ["9", b"9", None, True, [9], -9, 1.5])
def test_a_count_that_is_no_number_is_none(count: Any) -> None:
    assert given_back(True, delivery=count) == 0

"""When the read model's worker closes a batch of events."""

import pytest

from saga_choreography.recording import ends_a_saga
from shared.event_bus import CONTRACT
from shared.messaging.delivery import Delivery


def delivered(name: str) -> Delivery:
    return Delivery(1, {}, "application/json", b"", name)


@pytest.mark.parametrize("name", CONTRACT)
def test_only_the_end_of_a_saga_is_worth_a_transaction_of_its_own(name: str) -> None:
    some = [delivered("inventory.reserved"), delivered(name)]
    assert ends_a_saga(some) == (name in {"checkout.completed", "checkout.failed"})

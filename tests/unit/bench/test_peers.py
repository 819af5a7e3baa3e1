"""The requests to DBOS, and what is needed to start it."""

from decimal import Decimal
from pathlib import Path

import pytest

from bench import peers
from bench.checkouts import DECLINED, GOOD, Checkout
from bench.dbos_peer import Json, checkout
from bench.styles import bodies
from stack.errors import StackError
from stack.home import Home


@pytest.mark.parametrize(
    ("payment_method", "calls", "ended"),
    [(GOOD, ["reserve", "saga", "orders", "commit"], "completed"), (DECLINED, ["reserve", "saga"], "declined")],
)
def test_it_makes_the_four_calls_in_order_until_one_is_declined(
    payment_method: str, calls: list[str], ended: str
) -> None:
    made = []

    def call(service: str, path: str, body: Json, *expected: int) -> int:
        made.append(path.rpartition("/")[2])
        return 402 if body.get("payment_method") == DECLINED else expected[0]

    assert checkout(call, bodies(Checkout("cart", "ana", 1, 1, Decimal("12.50"), payment_method))) == ended
    assert made == calls


def test_where_dbos_is_not_installed_it_says_how_to_install_it(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="make bench PEERS=1"), peers.dbos(Home.at(tmp_path), {}, ""):
        pass

"""What people see of sagas: the list, and the timeline."""

import itertools
from typing import Any

import pytest

from shared.ids import new_id
from tests.e2e.shop import (
    COMPLETED,
    DECLINED,
    EXECUTOR,
    ORCHESTRATOR,
    PAGOS,
    QUICK,
    SEPARATE,
    Shop,
    attempts_of,
    problem,
)


@pytest.fixture(scope="module")
def shop_settings() -> dict[str, Any]:
    """Leases are long, so that sagas are retried only for the tests' reasons."""
    return {"env": {**QUICK, **SEPARATE, "LEASE_SECONDS": "30"}, "copies": {EXECUTOR: 1}}


def entries(shop: Shop, saga_id: str) -> list[tuple[Any, ...]]:
    """Return a timeline without its times."""
    names = ("kind", "step", "direction", "attempt", "outcome")
    return [tuple(entry[name] for name in names if entry[name] is not None) for entry in shop.timeline(saga_id)]


def test_the_timeline_of_a_success(shop: Shop) -> None:
    saga_id = shop.buy(shop.product())
    assert shop.became(saga_id) == COMPLETED
    assert entries(shop, saga_id) == [
        ("accepted",),
        ("attempt", "reserve_inventory", "action", 1, "succeeded"),
        ("attempt", "process_payment", "action", 1, "succeeded"),
        ("attempt", "create_order", "action", 1, "succeeded"),
        ("attempt", "commit_inventory", "action", 1, "succeeded"),
        ("attempt", "confirm_order", "action", 1, "succeeded"),
        ("completed",),
    ]


def test_the_timeline_of_a_compensation(shop: Shop) -> None:
    """Every step before the pivot is compensated, whether it is known to have run or not."""
    saga_id = shop.buy(shop.product(), method="declined_card")
    assert shop.became(saga_id) == DECLINED
    assert entries(shop, saga_id) == [
        ("accepted",),
        ("attempt", "reserve_inventory", "action", 1, "succeeded"),
        ("attempt", "process_payment", "action", 1, "refused"),
        ("compensating",),
        ("attempt", "create_order", "compensation", 1, "succeeded"),  # it may have run, as far as is written
        ("attempt", "process_payment", "compensation", 1, "succeeded"),
        ("attempt", "reserve_inventory", "compensation", 1, "succeeded"),
        ("attempt", "release_cart", "action", 1, "succeeded"),
        ("compensated",),
    ]
    (decision,) = shop.timeline(saga_id, kind="compensating")
    assert decision["detail"] == shop.saga(saga_id)["error"]
    assert "402" in decision["detail"]


def test_the_timeline_is_in_order_and_names_who_did_it(shop: Shop) -> None:
    saga_id = shop.buy(shop.product())
    shop.ended(saga_id)
    timeline = shop.timeline(saga_id)
    for before, after in itertools.pairwise(timeline):
        assert before["started_at"] <= before["finished_at"] <= after["started_at"]
    assert len({entry["executor"] for entry in timeline if entry["kind"] == "attempt"}) == 1
    saga = shop.saga(saga_id)
    for step in saga["steps"]:
        (entry,) = shop.timeline(saga_id, step=step["name"])
        assert (entry["started_at"], entry["finished_at"]) == (step["started_at"], step["finished_at"])
    assert saga["created_at"] <= timeline[1]["started_at"]
    assert timeline[-1]["finished_at"] <= saga["ended_at"]


@pytest.mark.parametrize("how", ["kill", "freeze"])
def test_the_timeline_holds_every_attempt(shop: Shop, how: str) -> None:
    """Of a service that is away, or that does not answer in time; also when another process continues the saga."""
    cart = shop.cart((shop.product(), 1))
    shop.restart(EXECUTOR, CALL_SECONDS="0.3")
    getattr(shop.system, how)(PAGOS)
    saga_id = shop.begin(cart)
    shop.until(saga_id, lambda saga: attempts_of(saga)["process_payment"] >= 3, "was tried three times")
    shop.system.stop(EXECUTOR)
    shop.mend()
    assert shop.became(saga_id) == COMPLETED
    saga = shop.saga(saga_id)
    tries = shop.timeline(saga_id, step="process_payment")
    attempts = [(number, len(list(each))) for number, each in itertools.groupby(entry["attempt"] for entry in tries)]
    made = attempts_of(saga)["process_payment"]
    assert [number for number, _ in attempts] == list(range(1, made + 1))
    assert [count for _, count in attempts[:-1]] == [3] * (made - 1)  # the requests of an attempt
    assert [entry["outcome"] for entry in tries] == ["unknown"] * (len(tries) - 1) + ["succeeded"]
    assert {entry["detail"] for entry in tries[:-1]} <= {
        "pagos: no answer in time",
        "pagos: connection refused or broken",
    }
    assert attempts_of(saga)["create_order"] == 1


def test_there_is_no_timeline_without_a_saga(shop: Shop) -> None:
    problem(shop.get(ORCHESTRATOR, f"/saga/{new_id()}/timeline"), 404)
    problem(shop.get(ORCHESTRATOR, f"/saga/{new_id()}"), 404)


def test_the_list_is_newest_first_and_filtered_by_status_and_cart(shop: Shop) -> None:
    product = shop.product()
    cart = shop.cart((product, 1))
    sagas = []
    for method in ("declined_card", "invalid_card", "credit_card"):
        sagas.append(shop.begin(cart, method))
        shop.ended(sagas[-1])
    *declined, completed = sagas
    other = shop.buy(product)
    shop.ended(other)

    def ids(**query: object) -> list[str]:
        return [saga["saga_id"] for saga in shop.sagas(**query)["items"]]

    assert ids(cart_id=cart) == [completed, *reversed(declined)]
    assert ids(cart_id=cart, status="compensated") == [*reversed(declined)]
    assert ids(cart_id=cart, status="completed") == [completed]
    assert ids(cart_id=cart, status="stuck") == []
    assert ids(limit=4) == [other, completed, *reversed(declined)]
    assert ids(status="completed", limit=2) == [other, completed]


def test_pages_follow_each_other_without_gap_or_overlap_while_new_sagas_come(shop: Shop) -> None:
    product = shop.product()
    cart = shop.cart((product, 1))
    sagas = []
    for _ in range(5):
        sagas.append(shop.begin(cart, "declined_card"))
        shop.ended(sagas[-1])
    pages: list[list[str]] = []
    cursor = None
    while cursor is not None or not pages:
        page = shop.sagas(cart_id=cart, limit=2, **({} if cursor is None else {"cursor": cursor}))
        pages.append([saga["saga_id"] for saga in page["items"]])
        cursor = page["next_cursor"]
        shop.ended(shop.begin(cart, "declined_card"))
    newest_first = sagas[::-1]
    assert pages == [newest_first[:2], newest_first[2:4], newest_first[4:]]


@pytest.mark.parametrize("query", ["status=lost", "cursor=1", "limit=0", "limit=201", "cart_id=x", "color=red"])
def test_a_query_that_does_not_fit_is_refused(shop: Shop, query: str) -> None:
    refused = problem(shop.get(ORCHESTRATOR, f"/saga?{query}"), 422)
    assert [error["field"] for error in refused["errors"]] == [query.partition("=")[0]]

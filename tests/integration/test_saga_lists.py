"""Lists of sagas in both saga services: their contents, and their filters."""

from collections.abc import Callable
from decimal import Decimal
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from shared.ids import new_id
from shared.saga import listing
from tests.integration.api_client import problem_of
from tests.integration.saga_stages import STAGES, Stage, stage_of


@pytest.fixture(params=sorted(STAGES))
def stage(request: pytest.FixtureRequest, service_client: Callable[..., FlaskClient], fresh_database_url: str) -> Stage:
    return stage_of(request.param, service_client(request.param, database_url=fresh_database_url))


def found(stage: Stage, **query: object) -> list[str]:
    return [item["saga_id"] for item in stage.sagas(**query)["items"]]


def test_a_summary_of_a_completed_saga_says_what_it_was_about_and_when(stage: Stage) -> None:
    saga_id = stage.completed()
    (item,) = stage.sagas()["items"]
    whole = stage.read(f"/{saga_id}")
    same = ("status", "saga_pattern", "cart_id", "user_id", "payment_method", "total", "order_id", "created_at")
    assert [item[name] for name in same] == [whole[name] for name in same]
    assert (item["status"], item["total"], item["saga_pattern"]) == ("completed", Decimal("19.98"), stage.style)
    assert item["order_id"] is not None
    assert (item["step"], item["direction"], item["attempts"]) == (None, None, 0)
    assert (item["error"], item["failed_step"]) == (None, None)
    assert (item["retrying"], item["next_try_at"]) == (False, None)
    assert item["first_effect_at"] < item["ended_at"]


def test_a_summary_of_a_declined_saga_says_where_it_failed_and_why(stage: Stage) -> None:
    stage.declined()
    (item,) = stage.sagas()["items"]
    assert item["status"] == "compensated"
    assert (item["step"], item["failed_step"]) == ("process_payment", "process_payment")
    assert (item["error"], item["order_id"]) == ("process_payment: no", None)
    assert item["first_effect_at"] < item["ended_at"]


def test_a_summary_of_a_saga_under_way_says_which_step_it_is_at(stage: Stage) -> None:
    stage.paid()
    (item,) = stage.sagas()["items"]
    assert (item["status"], item["step"], item["direction"]) == ("running", "create_order", "action")
    assert item["failed_step"] is None
    assert (item["ended_at"], item["retrying"], item["next_try_at"]) == (None, False, None)
    assert item["first_effect_at"] is not None


def test_a_summary_of_a_new_saga_has_had_no_effect(stage: Stage) -> None:
    stage.begun()
    (item,) = stage.sagas()["items"]
    assert (item["step"], item["first_effect_at"], item["order_id"]) == ("reserve_inventory", None, None)


def test_a_saga_that_waits_for_another_attempt_says_at_what_and_until_when(stage: Stage) -> None:
    stage.paid()
    saga_id = stage.waiting()
    (item,) = stage.sagas(retrying="true")["items"]
    assert (item["saga_id"], item["status"]) == (str(saga_id), "running")
    assert (item["step"], item["direction"], item["attempts"]) == ("process_payment", "action", 1)
    assert item["retrying"]
    assert item["next_try_at"] > item["updated_at"]
    assert str(saga_id) not in found(stage, retrying="false")


def test_a_saga_that_an_operator_turned_back_says_that_it_is_at_a_compensation(stage: Stage) -> None:
    """It has no failed step, and when it is stuck its status does not tell either."""
    saga_id = stage.completed()
    assert stage.post(f"{stage.base}/{saga_id}/compensate", {"reason": "returned"}).status_code == 202
    (item,) = stage.sagas()["items"]
    assert (item["step"], item["direction"], item["failed_step"]) == ("commit_inventory", "compensation", None)


def test_a_saga_says_whether_it_has_turned_back(stage: Stage) -> None:
    """Neither its status nor its steps tell, when it is stuck and what it did is not known."""

    def told(saga_id: UUID) -> bool:
        body = stage.get(f"{stage.base}/{saga_id}").json or {}
        return bool(body["turned_back"])

    undone, declined, paid = stage.completed(), stage.declined(), stage.paid()
    assert not told(undone)
    stage.post(f"{stage.base}/{undone}/compensate", {"reason": "returned"})
    assert [told(saga_id) for saga_id in (undone, declined, paid)] == [True, True, False]


def test_the_books_of_a_saga_that_is_undone_after_its_end_are_open_from_then_on(stage: Stage) -> None:
    saga_id = stage.completed()
    before = stage.sagas()["items"][0]
    assert stage.post(f"{stage.base}/{saga_id}/compensate", {"reason": "returned"}).status_code == 202
    (after,) = stage.sagas()["items"]
    assert (after["status"], after["error"], after["ended_at"]) == ("compensating", "returned", None)
    assert after["first_effect_at"] > before["ended_at"]


def test_sagas_are_found_by_their_ids(stage: Stage) -> None:
    sagas = [stage.completed(), stage.declined(), stage.paid()]
    wanted = [str(sagas[2]), str(sagas[0])]
    assert found(stage, saga_id=[*wanted, new_id()]) == wanted
    assert found(stage, saga_id=wanted, status="completed") == [wanted[1]]
    assert found(stage, saga_id=[new_id()]) == []


@pytest.mark.parametrize("name", ["cart_id", "order_id", "status", "failed_step"])
def test_each_filter_finds_its_sagas_and_no_other(stage: Stage, name: str) -> None:
    sagas = [stage.completed(), stage.declined(), stage.paid()]
    shown = stage.sagas()["items"]
    assert [UUID(item["saga_id"]) for item in shown] == sagas[::-1]
    wanted = next(item[name] for item in shown if item[name] is not None)
    alike = [item["saga_id"] for item in shown if item[name] == wanted]
    assert found(stage, **{name: wanted}) == alike
    assert 0 < len(alike) < len(shown)


@pytest.mark.parametrize(
    ("passes", "fails"), [("user_id=ana", "user_id=eva"), ("payment_method=paypal", "payment_method=wallet")]
)
def test_users_and_methods_are_filters_too(stage: Stage, passes: str, fails: str) -> None:
    saga_id = str(stage.completed())
    assert found(stage, **dict([passes.split("=")])) == [saga_id]
    assert found(stage, **dict([fails.split("=")])) == []


def test_filters_together_find_what_passes_all_of_them(stage: Stage) -> None:
    done, declined = str(stage.completed()), str(stage.declined())
    common = {"user_id": "ana", "payment_method": "paypal", "retrying": "false"}
    assert found(stage, **common) == [declined, done]
    assert found(stage, **common, status="completed") == [done]
    assert found(stage, **common, status="completed", failed_step="process_payment") == []
    assert found(stage, **common, order_id=new_id()) == []


def test_a_page_that_has_tried_enough_ends_early_and_another_goes_on_from_there(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MOST_TRIED", 3)
    wanted = [str(stage.declined()), str(stage.declined())]
    for _ in range(4):
        stage.completed()
    pages: list[list[str]] = []
    cursor: dict[str, str] = {}
    while not pages or cursor:
        page = stage.sagas(user_id="ana", status="compensated", **cursor)
        pages.append([item["saga_id"] for item in page["items"]])
        cursor = {"cursor": page["next_cursor"]} if page["next_cursor"] else {}
    assert pages == [[], wanted[::-1], []]


@pytest.mark.parametrize("query", ["retrying=1", "retrying=", "failed_step=", "user_id=%20", "payment_method=gold"])
def test_a_filter_that_can_not_be_is_refused(stage: Stage, query: str) -> None:
    assert problem_of(stage.get(f"{stage.listed}?{query}"))["status"] == 422


@pytest.mark.parametrize("name", ["x", "confirm_order", "release_cart"])
def test_a_step_that_can_fail_no_saga_is_refused_with_those_that_can(stage: Stage, name: str) -> None:
    problem = problem_of(stage.get(f"{stage.listed}?failed_step={name}"))
    assert (problem["status"], problem["errors"][0]["field"]) == (422, "failed_step")
    for step in ("reserve_inventory", "process_payment", "create_order", "commit_inventory"):
        assert f"'{step}'" in problem["errors"][0]["detail"]

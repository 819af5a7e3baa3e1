"""Which texts bodies refuse, and with which detail."""

import pytest
from pydantic import BaseModel, ValidationError

from saga_choreography.schemas import RedriveIn
from shared.http.answers import invalid_problem
from shared.http.schemas import Address, Name, OneLine
from shared.saga.views import OperatorIn


class Sent(BaseModel):
    """A body with a text of each kind."""

    name: Name = "x"
    line: OneLine = "x"
    billing_address: Address = "x"


def errors(kind: type[BaseModel], **body: object) -> list[dict[str, str]]:
    with pytest.raises(ValidationError) as caught:
        kind.model_validate(body)
    found: list[dict[str, str]] = invalid_problem(caught.value)["errors"]
    return found


@pytest.mark.parametrize(
    "address",
    ["", "a" * 201, 7, None, [], {}, {"street": 7}, {"street": "a" * 201}, dict.fromkeys("abcdefghijklmnopqrstu", "x")],
)
def test_an_address_that_does_not_fit_is_named_once_and_by_its_own_name(address: object) -> None:
    [error] = errors(Sent, billing_address=address)
    assert error["field"] == "billing_address"
    assert "function" not in error["detail"]
    assert "a text of 1 to 200 characters" in error["detail"]


@pytest.mark.parametrize("address", ["a" * 200, {"street": "1 High Street", "town": "Sé"}])
def test_an_address_is_a_text_or_texts_by_name(address: object) -> None:
    assert Sent.model_validate({"billing_address": address}).billing_address == address


@pytest.mark.parametrize("field", ["name", "line"])
def test_the_length_of_a_text_is_told_in_characters(field: str) -> None:
    assert errors(Sent, **{field: "a" * 201})[0]["detail"] == "String should have at most 200 characters"


@pytest.mark.parametrize("hidden", ["\u202e", "\u2066", "\u200f", "\u061c", "\x1b", "\x00", "\n", "\x85", "\u2028"])
def test_what_changes_how_the_rest_is_shown_is_refused_where_people_are_shown_a_name_or_reason(hidden: str) -> None:
    text = f"{hidden}evil"
    [error] = errors(Sent, line=text)
    assert (error["field"], "control" in error["detail"]) == ("line", True)
    for kind in (OperatorIn, RedriveIn):
        assert [each["field"] for each in errors(kind, by=text, reason=text)] == ["reason", "by"]


@pytest.mark.parametrize("text", ["Zoë", "محمد", "日本語", "a\u200db", "👩‍👧 1", "¿qué?"])
def test_every_language_can_be_written(text: str) -> None:
    assert Sent.model_validate({"line": text}).line == text

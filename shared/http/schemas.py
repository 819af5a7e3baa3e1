"""Field types that the services' request and response bodies share."""

import re
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)

from shared.money import MAX_MINOR, to_minor

MAX_QUANTITY = 1_000_000
MAX_PRODUCT_ID = 999_999_999  # nine digits; well within a PostgreSQL integer


class Body(BaseModel):
    """A request body: unknown fields are refused, and it cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class View(BaseModel):
    """A response body."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class NoBody(Body):
    """An operation without a body."""


def _storable(value: str) -> str:
    """Refuse what can't be stored: PostgreSQL has no NUL in text, and UTF-8 no lone surrogates."""
    if "\x00" in value:
        raise ValueError("must not hold a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError("must be valid Unicode") from error
    return value


def _readable(value: str) -> str:
    """Refuse characters that change how the text around them is shown: a name would look like another one."""
    if _HIDDEN.search(value):
        raise ValueError("must not hold control characters, line breaks or marks of writing direction")
    return value


def _in_one_sentence(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    """Refuse an address under its field's own name: a union's errors name its alternatives by Python's names."""
    try:
        return handler(value)
    except ValidationError as error:
        raise ValueError("must be a text of 1 to 200 characters, or an object with 1 to 20 such texts") from error


def _whole(value: object) -> object:
    """Accept 1.0 and 1e0, which are integers in JSON Schema; the limit keeps 1e999999 from being expanded."""
    if isinstance(value, Decimal) and value.adjusted() < 18 and value == value.to_integral_value():
        return int(value)
    return value


def _product_id(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"[1-9][0-9]{0,8}", value):
        return int(value)
    number = _whole(value)
    if isinstance(number, int) and not isinstance(number, bool):
        return number
    raise ValueError('must be a product id such as 1 or "1"')


def _amount(value: object) -> int:
    minor = to_minor(value)
    if minor <= 0:
        raise ValueError("must be more than zero")
    return minor


def _as_text(value: object) -> object:
    if isinstance(value, str) and _RFC_3339.fullmatch(value):
        return value
    raise ValueError("must be a date and time as in RFC 3339, such as 2026-01-31T12:00:00Z")


_FORBIDDEN = r"\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
_HIDDEN = re.compile(f"[{_FORBIDDEN}]")
_RFC_3339 = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})", re.ASCII | re.IGNORECASE)
_OUT = WithJsonSchema({"type": "number", "description": "exact, two decimal places"}, mode="serialization")
_IN = {
    "examples": ["4.99"],
    "anyOf": [
        {"type": "number", "exclusiveMinimum": 0, "maximum": MAX_MINOR / 100, "multipleOf": 0.01},
        {
            "type": "string",
            "pattern": r"^([0-9]{1,9}(\.[0-9]{1,2})?|1000000000(\.0{1,2})?)$",
            "not": {"pattern": r"^[0.]*$"},
        },
    ],
}

STORABLE = AfterValidator(_storable)  # after the limits of a text, whose errors would name items otherwise
Text = Annotated[str, STORABLE]
Name = Annotated[str, Field(min_length=1, max_length=200), STORABLE]
OneLine = Annotated[  # what people are shown beside other things: names and reasons
    str,
    Field(min_length=1, max_length=200, json_schema_extra={"pattern": f"^[^{_FORBIDDEN}]*$"}),
    AfterValidator(_readable),
    STORABLE,
]
UserId = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9._@:+-]{1,64}$", description="the caller's own id of a user", examples=["ana"])
]
ProductId = Annotated[
    int,
    BeforeValidator(_product_id),
    Field(ge=1, le=MAX_PRODUCT_ID),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": MAX_PRODUCT_ID},
                {"type": "string", "pattern": "^[1-9][0-9]{0,8}$"},
            ]
        },
        mode="validation",
    ),
]
Quantity = Annotated[int, Field(strict=True, ge=1, le=MAX_QUANTITY, examples=[2]), BeforeValidator(_whole)]
Stock = Annotated[int, Field(strict=True, ge=0, le=MAX_QUANTITY, examples=[10]), BeforeValidator(_whole)]
Amount = Annotated[int, BeforeValidator(_amount), WithJsonSchema(_IN, mode="validation")]  # minor units
Money = Annotated[Decimal, _OUT]
Time = AwareDatetime
TimeIn = Annotated[AwareDatetime, BeforeValidator(_as_text)]  # not a number, which could be seconds or milliseconds
Address = Annotated[
    Annotated[Name, Field(description="a line of text", examples=["1 High Street"])]
    | Annotated[dict[Text, Name], Field(min_length=1, max_length=20)],
    WrapValidator(_in_one_sentence),
]
# The last three are always declined, so that anybody can try a failure.
PaymentMethod = Literal[
    "credit_card", "debit_card", "paypal", "wallet", "invalid_card", "declined_card", "insufficient_funds"
]

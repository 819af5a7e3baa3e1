"""Money: integer minor units (cents) inside, an exact decimal with two places outside, never a binary float."""

import re
from decimal import Decimal, InvalidOperation

PLACES = Decimal("0.01")
MAX_MINOR = 10**11  # a thousand million; times the largest quantity it is still far from the end of a bigint
_NUMERIC = re.compile(r"-?[0-9]{1,10}(\.[0-9]{1,2})?")  # Decimal takes blanks, underscores and other digits too


def to_minor(value: object) -> int:
    """Minor units of a decimal, an integer or a numeric string; `ValueError` for all that isn't money."""
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise ValueError("must be a number or a numeric string")
    if isinstance(value, str) and not _NUMERIC.fullmatch(value):
        raise ValueError("must be digits with at most two decimal places")
    try:
        amount = Decimal(value)
        exact = amount.is_finite() and amount == amount.quantize(PLACES)
    except InvalidOperation:
        exact = False
    if not exact:
        raise ValueError("must be an exact amount with at most two decimal places")
    minor = int(amount * 100)
    if abs(minor) > MAX_MINOR:
        raise ValueError("is beyond any amount handled here")
    return minor


def to_decimal(minor: int) -> Decimal:
    """The amount of so many minor units, with two places."""
    return (Decimal(minor) / 100).quantize(PLACES)

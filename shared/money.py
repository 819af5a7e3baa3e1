"""Money: integer minor units (cents) inside, an exact decimal with two places outside, never a binary float."""

import re
from decimal import Decimal, InvalidOperation

PLACES = Decimal("0.01")
MAX_MINOR = 10**11  # a thousand million; times the largest quantity it still fits a bigint
_NUMERIC = re.compile(r"-?[0-9]{1,10}(\.[0-9]{1,2})?")  # Decimal also accepts blanks, underscores and other digits


def to_minor(value: object) -> int:
    """Convert a decimal, an integer or a numeric string to minor units; raises `ValueError` for any other value."""
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
    """Convert minor units to a decimal with two places."""
    return (Decimal(minor) / 100).quantize(PLACES)

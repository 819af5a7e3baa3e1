"""JSON with exact numbers: fractions are `Decimal` in and out, NaN and Infinity are refused."""

from datetime import datetime
from typing import Any
from uuid import UUID

import simplejson
from flask.json.provider import JSONProvider


def _plain(value: object) -> Any:
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def dumps(value: Any) -> str:
    """Compact JSON; ids and times as strings, `Decimal` as a number with its own places."""
    return simplejson.dumps(value, use_decimal=True, default=_plain, separators=(",", ":"))


def loads(text: str | bytes) -> Any:
    """The value of a JSON text; `ValueError` when it is none, also when it is nested beyond reason."""
    try:
        return simplejson.loads(text, use_decimal=True)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


class ExactJson(JSONProvider):
    """Makes Flask use the functions above."""

    def dumps(self, obj: Any, **_: Any) -> str:
        """See `dumps`."""
        return dumps(obj)

    def loads(self, s: str | bytes, **_: Any) -> Any:
        """See `loads`."""
        return loads(s)

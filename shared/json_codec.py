"""JSON with exact numbers: fractions are `Decimal` in and out, NaN and Infinity are refused."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
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


# Made once: for short bodies, making a codec takes as long as its work.
_encode = simplejson.JSONEncoder(use_decimal=True, default=_plain, separators=(",", ":")).encode
_decode = simplejson.JSONDecoder(parse_float=Decimal).decode


def _with_unique_names(members: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(members)
    if len(value) != len(members):
        raise ValueError("a name occurs twice in an object")
    return value


_decode_unique = simplejson.JSONDecoder(parse_float=Decimal, object_pairs_hook=_with_unique_names).decode


def dumps(value: Any) -> str:
    """Return compact JSON: ids and times as strings, `Decimal` as a number with all its places."""
    return _encode(value)


def body(value: Any) -> str:
    """Return the JSON text of an HTTP body: as `dumps`, with a final newline for terminals."""
    return dumps(value) + "\n"


def loads(text: str | bytes) -> Any:
    """Parse a JSON text; raises `ValueError` when it is malformed or nested too deeply."""
    return _parsed(_decode, text)


def loads_request(text: str | bytes) -> Any:
    """As `loads`, and raises `ValueError` for an object with a name twice.

    Of two values, a gateway that checks one of them may read another than the service does.
    """
    return _parsed(_decode_unique, text)


def _parsed(decode: Callable[[str], Any], text: str | bytes) -> Any:
    try:
        return decode(text if isinstance(text, str) else text.decode())
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


class ExactJson(JSONProvider):
    """Makes Flask use the functions above."""

    def dumps(self, obj: Any, **_: Any) -> str:
        """See `body`: Flask calls it for answers only."""
        return body(obj)

    def loads(self, s: str | bytes, **_: Any) -> Any:
        """See `loads`."""
        return loads(s)

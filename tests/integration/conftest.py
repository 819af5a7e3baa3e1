"""Fixtures of the tests of messaging."""

from tests.system.toy_room import room

__all__ = ["room"]

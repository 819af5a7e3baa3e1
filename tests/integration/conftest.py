"""What tests of messaging have."""

from tests.system.toy_room import room

__all__ = ["room"]

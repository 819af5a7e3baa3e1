"""Fixtures of the tests of whole shops."""

from tests.e2e.fixtures import _shops, pytest_runtest_makereport, shop, shop_settings
from tests.system.toy_room import room

__all__ = ["_shops", "pytest_runtest_makereport", "room", "shop", "shop_settings"]

"""Fixtures of the tests of whole shops."""

from tests.e2e.fixtures import _shops, broker_url, pytest_runtest_makereport, shop, shop_settings
from tests.system.toy_room import room

__all__ = ["_shops", "broker_url", "pytest_runtest_makereport", "room", "shop", "shop_settings"]

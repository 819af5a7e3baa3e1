"""Fixtures of the tests of whole shops."""

from tests.e2e.fixtures import _shops, pytest_runtest_makereport, shop, shop_settings

__all__ = ["_shops", "pytest_runtest_makereport", "shop", "shop_settings"]

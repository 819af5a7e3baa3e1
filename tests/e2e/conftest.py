"""Fixtures of the tests of whole shops."""

from tests.e2e.fixtures import _shops, broker_url, collector, pytest_runtest_makereport, shop, shop_settings

__all__ = ["_shops", "broker_url", "collector", "pytest_runtest_makereport", "shop", "shop_settings"]

"""Each fault, switched on at its page: what the pages of the affected sagas show of it, and how these sagas end."""

from typing import NamedTuple

import pytest
from playwright.sync_api import Page, expect

from shared.testing import wait_until
from tests.browser.conftest import OpenViewer
from tests.browser.sagas import STYLES
from tests.browser.test_watching import begin, stand
from tests.e2e.shop import CARRITO, HANG_SECONDS, INVENTARIO, PAGOS, Shop

WORKER = "pagos-worker"


class Fault(NamedTuple):
    """A fault as the form names it, how both sagas end, and the styles in which it happens."""

    name: str
    service: str
    step: str
    numbers: dict[str, str]
    ends: str = "completed"
    styles: tuple[str, ...] = STYLES


REFUSED = Fault("refuse", CARRITO, "create_order", {}, "compensated")
FAULTS = (
    REFUSED,
    Fault("unavailable", PAGOS, "process_payment", {"times": "3"}),
    Fault("slow", INVENTARIO, "reserve_inventory", {"milliseconds": "150"}),
    Fault("lose_answer", INVENTARIO, "commit_inventory", {"times": "1"}),
    Fault("fail_undo", PAGOS, "process_payment", {"times": "2"}, "compensated"),
    Fault("kill", PAGOS, "process_payment", {"times": "1"}),
    Fault("deliver_twice", INVENTARIO, "process_payment", {"times": "1"}, styles=STYLES[1:]),
    Fault("delay_message", PAGOS, "create_order", {"times": "1", "milliseconds": "300"}, styles=STYLES[1:]),
)


def switch_on(page: Page, fault: Fault) -> None:
    """Fill in the form of the fault's service."""
    page.goto("/faults")
    form = page.get_by_role("form", name=f"Switch a fault of {fault.service} on")
    for name, value in (("name", fault.name), ("step", fault.step)):
        form.locator(f"select[name={name}]").select_option(value)
    for name, number in fault.numbers.items():
        form.locator(f"input[name={name}]").fill(number)
    form.get_by_role("button", name="Switch on").click()
    expect(page.get_by_role("button", name=f"Switch {fault.name} of {fault.service} off")).to_be_visible()


def switch_off(page: Page, fault: Fault) -> None:
    """Click the fault's button."""
    page.goto("/faults")
    page.get_by_role("button", name=f"Switch {fault.name} of {fault.service} off").click()
    expect(page.get_by_role("button", name=f"Switch {fault.name} of {fault.service} off")).to_have_count(0)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_switched_on_seen_and_healed_or_undone(shop: Shop, viewer: OpenViewer, fault: Fault) -> None:
    page = viewer().open("/faults")
    for each in [fault, *([REFUSED] if fault.name == "fail_undo" else [])]:
        switch_on(page, each)
    begin(page, shop)
    if fault.name == "kill":  # only the test restarts workers here
        wait_until(lambda: WORKER in shop.ended_unexpectedly(), "the worker is killed", HANG_SECONDS)
        shop.revive()
    stand(page, fault.ends, fault.ends)
    links = {style: page.get_by_role("link", name=style.capitalize()).get_attribute("href") for style in fault.styles}
    for link in links.values():
        page.goto(str(link))
        stand(page, fault.ends)
        expect(
            page.get_by_text("Left over" if fault.ends == "compensated" else "confirmed", exact=True)
        ).to_be_visible()
    page.goto("/faults")
    happened = page.locator("section", has=page.get_by_role("heading", name="What happened to which saga"))
    for link in links.values():
        row = happened.locator("tr", has_text=fault.name).filter(has_text=str(link).rsplit("/", 1)[1])
        expect(row).to_be_visible()
    switch_off(page, fault)


def test_a_paused_consumer_is_waited_for_until_it_is_switched_off(shop: Shop, viewer: OpenViewer) -> None:
    fault = Fault("pause_consumer", PAGOS, "", {})
    one = viewer()
    page = one.open("/faults")
    switch_on(page, fault)
    saga = shop.buy(shop.product(), style=STYLES[1])
    shop.until_status(saga, "running")
    waiting = one.open(f"/sagas/{STYLES[1]}/{saga}")
    stand(waiting, "running")
    expect(waiting.get_by_role("heading", name="No event from pagos yet")).to_be_visible()
    switch_off(page, fault)
    stand(waiting, "completed")

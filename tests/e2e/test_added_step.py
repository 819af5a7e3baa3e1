"""A fifth step as in docs/adding-a-step.md: the patch beside the tests is all that it needs, in both styles.

The patch is applied to a copy of the project, which then runs like any other.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import requests

from shared.config import ROOT
from stack.demo.shop import CHOREOGRAPHED, ORCHESTRATED, WAIT_SECONDS, Json, Request, Shop, Style
from stack.settings import read_env_file
from tests.system.brokers import Broker, needs_rabbitmq
from tests.system.servers import Databases

pytestmark = needs_rabbitmq

PATCH = ROOT / "tests/examples/shipping.patch"
PARTS = ("carrito", "inventario", "pagos", "saga_choreography", "saga_orchestrator", "shared", "stack")
CONTAINERS = (".dockerignore", "docker-compose.saga.yml")
STEPS = ["reserve_inventory", "process_payment", "create_order", "book_shipment", "commit_inventory"]
styles = pytest.mark.parametrize("style", [ORCHESTRATED, CHOREOGRAPHED], ids=lambda style: style.name)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the project with the step."""
    copy = tmp_path_factory.mktemp("copy")
    for part in PARTS:
        shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
    for file in CONTAINERS:
        shutil.copy(ROOT / file, copy)
    subprocess.run(["git", "apply", PATCH], cwd=copy, check=True)
    return copy


@pytest.fixture(scope="module")
def shop(copy: Path, databases: Databases, broker: Broker) -> Iterator[Shop]:
    """A shop that runs from the copy, with the new service."""
    home, database, host = copy / "home", databases.create(empty=True), broker.create()

    def stack(*arguments: str) -> None:
        environment = os.environ | {"DATABASE_URL": database, "RABBITMQ_URL": host, "SETTINGS_FILES": ""}
        command = [sys.executable, "-m", "stack", *arguments, "--home", str(home)]
        subprocess.run(command, cwd=copy, env=environment, check=True, stdout=subprocess.DEVNULL)

    try:
        stack("up", "--free-ports")
        told = read_env_file(home / "stack.env")
        services = ("carrito", "inventario", "pagos", "shipping")
        urls = {name: told[f"{name.upper()}_SERVICE_URL"] for name in services}
        urls |= {"saga_orchestrator": told["ORCHESTRATOR_URL"], "saga_choreography": told["CHOREOGRAPHY_URL"]}
        yield Shop(urls)
    finally:
        stack("down")
        broker.drop(host)
        databases.drop(database)


@styles
def test_a_completed_checkout_has_its_shipment(shop: Shop, style: Style) -> None:
    load_van(shop, places=1)
    saga = check_out(shop, style, "credit_card")
    assert statuses(saga) == dict.fromkeys(STEPS, "succeeded")
    assert shop.get("shipping", f"/orders/{saga['order_id']}/shipment")["status"] == "booked"


@styles
def test_a_full_van_undoes_the_checkout(shop: Shop, style: Style) -> None:
    load_van(shop, places=0)
    saga = check_out(shop, style, "credit_card")
    assert saga["status"] == "compensated"
    assert saga["error"].startswith("book_shipment: ")
    assert statuses(saga) == {
        "reserve_inventory": "compensated",
        "process_payment": "compensated",
        "create_order": "compensated",
        "book_shipment": "failed",
        "commit_inventory": "skipped",
    }


@styles
def test_undoing_a_completed_checkout_gives_the_place_back(shop: Shop, style: Style) -> None:
    load_van(shop, places=1)
    saga = check_out(shop, style, "credit_card")
    url = f"{shop.urls[style.service]}{style.path}/{saga['saga_id']}/compensate"
    shop.send(Request("POST", url, {}, {"Prefer": f"wait={WAIT_SECONDS}"}))
    assert shop.get("shipping", f"/orders/{saga['order_id']}/shipment")["status"] == "cancelled"
    assert check_out(shop, style, "paypal")["status"] == "completed"  # there is a place again


@styles
def test_a_saga_cancels_no_other_shipment_than_the_one_it_booked(shop: Shop, style: Style) -> None:
    load_van(shop, places=1)
    saga = check_out(shop, style, "credit_card")
    body = {"saga_id": saga["saga_id"]}
    reply = requests.post(f"{shop.urls['shipping']}/shipments/{uuid4()}/cancel", json=body, timeout=WAIT_SECONDS)
    assert (reply.status_code, reply.json()["field"]) == (409, "shipment_id")
    assert shop.get("shipping", f"/orders/{saga['order_id']}/shipment")["status"] == "booked"


@styles
def test_a_declined_card_books_nothing(shop: Shop, style: Style) -> None:
    load_van(shop, places=1)
    assert statuses(check_out(shop, style, "declined_card"))["book_shipment"] == "skipped"
    assert check_out(shop, style, "paypal")["status"] == "completed"  # the place was not lost


def load_van(shop: Shop, places: int) -> None:
    shop.send(Request("POST", shop.urls["shipping"] + "/van", {"places": places}))


def check_out(shop: Shop, style: Style, payment_method: str) -> Json:
    product = shop.stock_up("SHIPPED", "Parcel", "9.90", at_least=1)
    cart = shop.fill_cart("ana", product, 1)
    return shop.send(shop.checkout(cart, payment_method, style, wait=WAIT_SECONDS))


def statuses(saga: Json) -> dict[str, str]:
    return {step["name"]: step["status"] for step in saga["steps"]}

"""A shop of real processes, as customers and operators use it: over HTTP only."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast
from uuid import uuid4

import requests

from shared.http.client import PEER_FAILED, Peer, Reply
from shared.testing import wait_until
from stack.audit import run as audit
from tests.system.running import RunningSystem

CARRITO, INVENTARIO, PAGOS, ORCHESTRATOR = "carrito", "inventario", "pagos", "saga_orchestrator"
CHOREOGRAPHY = "saga_choreography"
EXECUTOR = "saga_orchestrator-worker"
ORCHESTRATED, CHOREOGRAPHED = "orchestrated", "choreographed"
WAYS_IN = {CARRITO: "/checkout/saga", ORCHESTRATOR: "/saga/checkout"}
# Where each style's sagas are shown.
WINDOWS = {ORCHESTRATED: (ORCHESTRATOR, "/saga"), CHOREOGRAPHED: (CHOREOGRAPHY, "/saga/choreography")}
USER = "ana"
ADDRESS = "Main St 1"
PRICE = "9.99"
HANG_SECONDS = 120.0  # seconds, so that nothing hangs; nothing here takes a tenth of it where nothing else runs

# Makes recovery quick: what takes half a minute in production takes a second here.
QUICK = {
    "LEASE_SECONDS": "1",
    "PROGRESS_SECONDS": "0.05",
    "CALL_SECONDS": "2",
    "RETRY_FIRST_SECONDS": "0.05",
    "RETRY_MOST_SECONDS": "0.3",
    "HANDOVER_SECONDS": "0.5",
}
# For tests in which nothing may be repeated or turned back because the machine is busy.
UNHURRIED = {
    "LEASE_SECONDS": "30",
    "CALL_SECONDS": "30",
    "HANDOVER_SECONDS": "60",
    "FORWARD_DEADLINE_SECONDS": "900",
}
# Only separate executors run sagas, so that a test can freeze or kill the one that has a saga.
SEPARATE = {"WEB_EXECUTOR": "false"}


@dataclass(frozen=True)
class Became:
    """The result of a checkout: the statuses of its saga and its cart, and all that the saga made."""

    saga: str
    cart: str
    orders: tuple[str, ...] = ()
    payments: tuple[str, ...] = ()
    reservations: tuple[str, ...] = ()

    @property
    def left_nothing(self) -> bool:
        """Whether nothing is left of it, however far it had gone."""
        return (
            (self.saga, self.cart) == ("compensated", "open")
            and set(self.orders) <= {"cancelled"}
            and set(self.payments) <= {"refunded", "declined"}
            and set(self.reservations) <= {"released", "expired"}
        )


COMPLETED = Became("completed", "checked_out", ("confirmed",), ("captured",), ("committed",))
UNDONE = Became("compensated", "open", ("cancelled",), ("refunded",), ("released",))
DECLINED = Became("compensated", "open", (), ("declined",), ("released",))
SOLD_OUT = Became("compensated", "open")


class System(Protocol):
    """What a shop needs of the processes that it consists of."""

    @property
    def names(self) -> list[str]:
        """The names of its processes."""

    @property
    def services(self) -> list[str]:
        """The names of its processes, once for all copies of one."""

    def url(self, name: str) -> str:
        """Return the URL of a service, also while it is down."""

    def alive(self, name: str) -> bool:
        """Whether a process runs (a frozen one does)."""

    def restart(self, name: str, **env: str) -> None:
        """Kill a process if it lives, and start it with these additional settings."""

    def thaw(self, name: str) -> None:
        """Let a process continue if it was frozen."""

    def wait_healthy(self, name: str) -> None:
        """Wait until a service says that it is healthy."""


class Shop:
    """Thread-safe, except for the methods that start and stop processes."""

    def __init__(self, system: System, database_url: str = "", through: Mapping[str, str] | None = None) -> None:
        """`through`: URLs that replace the services' own."""
        self._system = system
        self.system = cast("RunningSystem", system)  # for tests that know that it is one
        self.database_url = database_url
        self.urls = {name: system.url(name) for name in audit.AUDITED if name in system.services} | dict(through or {})
        self._peers = {name: Peer(name, url, None, HANG_SECONDS) for name, url in self.urls.items()}
        self._special: set[str] = set()  # processes that run with changed settings
        self._windows: dict[str, tuple[str, str]] = {}  # the path at which each begun saga is shown

    # Requests.

    def get(self, service: str, path: str) -> Reply:
        """GET; return any answer. Raises one of `PEER_FAILED`."""
        return self._peers[service].get(path)

    def post(self, service: str, path: str, body: Mapping[str, Any] | None = None, **headers: str) -> Reply:
        """POST; return any answer. Raises one of `PEER_FAILED`. Underscores in names of headers stand for dashes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._peers[service].post(path, body or {}, named)

    # Customers.

    def product(self, quantity: int = 100, price: str = PRICE) -> int:
        """Create a product; return its id."""
        body = {"name": "Mug", "price": price, "quantity": quantity, "sku": f"mug-{uuid4()}"}
        return int(self._made(INVENTARIO, "/api/products", body)["id"])

    def cart(self, *lines: tuple[int, int], user: str = USER) -> str:
        """Create a cart with these quantities of products; return its id."""
        cart_id = str(self._made(CARRITO, "/carts", {"user_id": user})["id"])
        for product_id, quantity in lines:
            self._made(CARRITO, f"/carts/{cart_id}/items", {"product_id": product_id, "quantity": quantity})
        return cart_id

    def deposit(self, amount: str, user: str = USER) -> None:
        """Deposit into a wallet."""
        self._made(PAGOS, f"/api/v1/wallets/{user}/deposits", {"amount": amount})

    def checkout_body(self, cart_id: str, method: str = "credit_card", user: str = USER) -> dict[str, str]:
        """Return the body of a request for a checkout."""
        return {"cart_id": cart_id, "user_id": user, "payment_method": method, "billing_address": ADDRESS}

    def checkout(
        self,
        cart_id: str,
        method: str = "credit_card",
        way: str = CARRITO,
        user: str = USER,
        style: str = ORCHESTRATED,
        **headers: str,
    ) -> Reply:
        """Request a checkout at `way` (carrito or the style's service); return any answer. Raises a `PEER_FAILED`."""
        checkout_body = self.checkout_body(cart_id, method, user)
        if way == CARRITO and style != ORCHESTRATED:
            checkout_body["saga_pattern"] = style
        window, root = WINDOWS[style]
        reply = self.post(way, f"{root}/checkout" if way == window else WAYS_IN[way], checkout_body, **headers)
        if reply.status in {200, 202}:
            self._windows[reply.body["saga_id"]] = window, root
        return reply

    def know(self, saga_id: str, style: str) -> None:
        """Remember the style of a saga that another client began."""
        self._windows[saga_id] = WINDOWS[style]

    def begin(self, cart_id: str, method: str = "credit_card", way: str = CARRITO, style: str = ORCHESTRATED) -> str:
        """Check a cart out; return the id of the accepted saga."""
        return _accepted(self.checkout(cart_id, method, way, style=style))

    def buy(
        self,
        product_id: int,
        quantity: int = 1,
        method: str = "credit_card",
        way: str = CARRITO,
        style: str = ORCHESTRATED,
    ) -> str:
        """Check out a new cart with this quantity of a product; return the saga's id."""
        return self.begin(self.cart((product_id, quantity)), method, way, style)

    def insist(
        self,
        cart_id: str,
        method: str = "credit_card",
        way: str = CARRITO,
        style: str = ORCHESTRATED,
        user: str = USER,
    ) -> str:
        """Check a cart out; without an answer, repeat the same request under the same key. Return the saga's id."""
        key = uuid4().hex

        def answer() -> Reply | None:
            try:
                reply = self.checkout(cart_id, method, way, user, style, Idempotency_Key=key)
            except PEER_FAILED:
                return None
            unanswered = reply.status >= 500 or reply.body.get("type") == "/problems/key-in-use"
            return None if unanswered else reply

        reply = wait_until(answer, "the checkout is accepted", HANG_SECONDS)
        assert reply is not None
        return _accepted(reply)

    # Operators.

    def saga(self, saga_id: str) -> Mapping[str, Any]:
        """Return the saga as the API shows it."""
        return self._read(*self._seen_at(saga_id))

    def sagas(self, **query: object) -> Mapping[str, Any]:
        """Return a page of sagas."""
        wanted = "&".join(f"{name}={value}" for name, value in query.items())
        return self._read(ORCHESTRATOR, f"/saga?{wanted}")

    def timeline(self, saga_id: str, **like: object) -> list[Mapping[str, Any]]:
        """Return the entries of a saga's timeline that have these values."""
        items: list[Mapping[str, Any]] = self._read(*self._seen_at(saga_id, "/timeline"))["items"]
        return [item for item in items if all(item[name] == value for name, value in like.items())]

    def compensate(self, saga_id: str, **headers: str) -> Reply:
        """Request the compensation of a saga."""
        return self.post(*self._seen_at(saga_id, "/compensate"), {"reason": "changed my mind"}, **headers)

    def retry(self, saga_id: str) -> Reply:
        """Request that a saga is retried now."""
        return self.post(ORCHESTRATOR, f"/saga/{saga_id}/retry")

    # Results.

    def until(self, saga_id: str, condition: Callable[[Mapping[str, Any]], bool], what: str) -> Mapping[str, Any]:
        """Return the saga when the condition holds; its service may first have to learn of it, or to restart."""
        last: Mapping[str, Any] = {}

        def seen() -> bool:
            nonlocal last
            reply = self.get(*self._seen_at(saga_id))
            last = reply.body
            return reply.status == 200 and condition(last)

        try:
            wait_until(seen, f"saga {saga_id} {what}", HANG_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{dict(last)}") from error
        return last

    def until_status(self, saga_id: str, *statuses: str) -> Mapping[str, Any]:
        """Return the saga when it has one of these statuses."""
        return self.until(saga_id, lambda saga: saga["status"] in statuses, f"is {' or '.join(statuses)}")

    def until_requested(self, saga_id: str, step: str) -> Mapping[str, Any]:
        """Return the saga when a step's action has been requested."""
        return self.until(saga_id, lambda saga: steps_of(saga)[step] == "running", f"asks for {step}")

    def ended(self, saga_id: str) -> Mapping[str, Any]:
        """Return the saga when it has ended."""
        return self.until_status(saga_id, "completed", "compensated")

    def became(self, saga_id: str) -> Became:
        """Return the result of a checkout, when its saga has ended."""
        saga = self.ended(saga_id)
        cart_id = saga["cart_id"]

        def statuses(service: str, path: str) -> tuple[str, ...]:
            items = self._read(service, f"{path}/{cart_id}")["items"]
            return tuple(item["status"] for item in items if item["saga_id"] == saga_id)

        return Became(
            saga["status"],
            self.cart_as_it_is(cart_id)["status"],
            statuses(CARRITO, "/orders/saga"),
            statuses(PAGOS, "/api/v1/payments/saga"),
            statuses(INVENTARIO, "/api/products/reservations"),
        )

    def until_well(self) -> None:
        """Wait until every service has all that it needs."""
        for service in self.urls:
            self._system.wait_healthy(service)

    def until_quiet(self) -> None:
        """Wait until all sagas have ended, and no cart waits for one."""

        def quiet() -> bool:
            windows = [window for window, _ in WINDOWS.values() if window in self.urls]
            live = sum(int(self._read(window, "/audit")["live"]) for window in windows)
            waiting: int = self._read(CARRITO, "/audit")["carts"].get("checking_out", 0)
            return (live, waiting) == (0, 0)

        wait_until(quiet, "no saga is under way", HANG_SECONDS)

    def answered(self, service: str, route: str) -> int:
        """Return the number of requests of a route that the service has answered since it was started."""
        metrics = requests.get(f"{self.urls[service]}/metrics", timeout=HANG_SECONDS).text
        counts = re.findall(rf'^http_requests_total{{.*route="{re.escape(route)}".*}} (\S+)$', metrics, re.MULTILINE)
        return int(sum(map(float, counts)))

    def cart_as_it_is(self, cart_id: str) -> Mapping[str, Any]:
        """Return a cart."""
        return self._read(CARRITO, f"/carts/{cart_id}")

    def stock(self, product_id: int) -> tuple[int, int, int]:
        """Return how many of a product are available, held and sold."""
        product = self._read(INVENTARIO, f"/api/products/{product_id}")
        return product["available"], product["held"], product["sold"]

    def check_books(self) -> None:
        """Check that every saga has ended, and that no money and no stock is lost or doubled."""
        findings = audit.check(self.urls, wait_seconds=HANG_SECONDS)
        assert findings.clean, str(findings)

    # Processes.

    def restart(self, name: str, **env: str) -> None:
        """Kill a process if it lives, and start it with these additional settings."""
        self._special.discard(name)
        self._system.restart(name, **env)
        if env:
            self._special.add(name)

    def ended_unexpectedly(self) -> list[str]:
        """Return the processes that ended although no test ended them."""
        return [name for name in self._system.names if not self._system.alive(name) and name not in self._special]

    def revive(self) -> list[str]:
        """Start processes that are dead, with their first settings; return the names of those killed by their fault.

        Processes that still have a fault to come are left alone.
        """
        dead = [name for name in self._system.names if not self._system.alive(name)]
        died = [name for name in dead if self.system.fault_fired(name)]
        for name in dead:
            self.restart(name)
        return died

    def mend(self) -> None:
        """Have every process run with its first settings."""
        for name in self._system.names:
            if name in self._special or not self._system.alive(name):
                self.restart(name)
            else:
                self._system.thaw(name)

    def _seen_at(self, saga_id: str, what: str = "") -> tuple[str, str]:
        """Return the service that shows a saga, and the path."""
        window, root = self._windows.get(saga_id, WINDOWS[ORCHESTRATED])
        return window, f"{root}/{saga_id}{what}"

    def _made(self, service: str, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        reply = self.post(service, path, body)
        assert reply.status == 201, reply.body
        return reply.body

    def _read(self, service: str, path: str) -> Mapping[str, Any]:
        reply = self.get(service, path)
        assert reply.status == 200, reply.body
        return reply.body


def _accepted(reply: Reply) -> str:
    assert reply.status == 202, reply.body
    return str(reply.body["saga_id"])


def steps_of(saga: Mapping[str, Any]) -> dict[str, str]:
    """Return the status of each step."""
    return {step["name"]: step["status"] for step in saga["steps"]}


def attempts_of(saga: Mapping[str, Any]) -> dict[str, int]:
    """Return how often each step's action was requested."""
    return {step["name"]: step["attempts"] for step in saga["steps"]}


def problem(reply: Reply, status: int) -> Mapping[str, Any]:
    """Return the problem of an answer, which must have this status."""
    assert reply.status == status, reply.body
    assert reply.headers["Content-Type"] == "application/problem+json"
    return reply.body

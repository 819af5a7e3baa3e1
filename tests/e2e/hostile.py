"""A hostile shopper: knows all ids, and sends requests that only sagas may send, with right and wrong fields."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import uuid4

import requests

from shared.http.client import PEER_FAILED, Reply
from tests.e2e.shop import ADDRESS, CARRITO, HANG_SECONDS, INVENTARIO, PAGOS, WINDOWS, Shop

Body = Mapping[str, Any]
AT_ONCE = 6  # requests sent at the same time
OTHER_USER = "eve"


@dataclass
class Saga:
    """A saga that the shopper knows, and what it is about; one that the shopper made up has no style."""

    saga_id: str
    cart_id: str
    user_id: str
    style: str | None
    method: str
    payment_id: str
    order_id: str
    lines: dict[int, int]
    total: Decimal
    contradicted: bool = False  # whether a step may have been done with other fields than the saga's

    def items(self) -> list[dict[str, int]]:
        """Return its lines as inventario's API takes them."""
        return [{"product_id": product, "quantity": quantity} for product, quantity in self.lines.items()]


@dataclass(frozen=True)
class Step:
    """An endpoint that only sagas should call, and the request that a saga sends to it."""

    name: str
    service: str
    path: str
    fields: tuple[str, ...]
    compensates: bool = False

    def __repr__(self) -> str:
        return self.name

    @property
    def of_cart(self) -> bool:
        """Whether the cart's id replaces a missing saga id; otherwise the id in the path does."""
        return "cart_id" in self.fields

    def request(self, saga: Saga) -> tuple[str, dict[str, Any]]:
        """Return the path and the body of the saga's own request."""
        known = {
            "saga_id": saga.saga_id,
            "cart_id": saga.cart_id,
            "items": saga.items(),
            "payment_id": saga.payment_id,
            "order_id": saga.order_id,
            "user_id": saga.user_id,
            "amount": saga.total,
            "payment_method": saga.method,
            "billing_address": ADDRESS,
        }
        return self.path.format_map(known), {name: known[name] for name in self.fields}


CHARGED = ("saga_id", "cart_id", "payment_id", "user_id", "amount", "payment_method")
ORDERED = ("saga_id", "cart_id", "order_id", "payment_id", "user_id", "billing_address", "amount")
STEPS = (
    Step("reserve", INVENTARIO, "/api/products/reserve", ("saga_id", "cart_id", "items")),
    Step("charge", PAGOS, "/api/v1/payments/saga", CHARGED),
    Step("order", CARRITO, "/orders", ORDERED),
    Step("commit", INVENTARIO, "/api/products/commit", ("saga_id", "cart_id")),
    Step("confirm", CARRITO, "/orders/{order_id}/confirm", ("saga_id",)),
    Step("cancel", CARRITO, "/orders/{order_id}/cancel", ("saga_id",), compensates=True),
    Step("refund", PAGOS, "/api/v1/payments/saga/{payment_id}/refund", ("saga_id",), compensates=True),
    Step("unreserve", INVENTARIO, "/api/products/unreserve", ("saga_id", "cart_id"), compensates=True),
    Step("release", CARRITO, "/carts/{cart_id}/release", ("saga_id",), compensates=True),
)
ACTIONS = tuple(step for step in STEPS if not step.compensates)
# Changes of a request: none, or one field, if the request has it, gets another value or is left out.
TWISTS = ("", "", *sorted({*CHARGED, *ORDERED, "items", "path"}), *(f"no {name}" for name in CHARGED))

# Refusals that are stored like the saga's own result, in addition to declined payments.
KEPT = {f"/problems/{name}" for name in ("insufficient-stock", "product-not-found", "payment-id-taken")}


@dataclass(frozen=True)
class Attempt:
    """A step that the shopper requests; the numbers choose among what he knows, the latest first."""

    step: Step
    saga: int
    twist: str
    other: int


@dataclass
class Shopper:
    """What the shopper knows, and the answers so far; for one thread."""

    shop: Shop
    user: str
    products: Sequence[int]
    carts: list[str] = field(default_factory=list)
    sagas: list[Saga] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)  # answers that no request may get

    # Requests that every shopper may send.

    def open_cart(self, lines: Mapping[int, int]) -> str | None:
        """Create a cart with so many of each product; return its id, or None if the services are away."""
        opened = self.ask(CARRITO, "/carts", {"user_id": self.user})
        if opened is None or opened.status != 201:
            return None
        cart_id = str(opened.body["id"])
        self.carts.append(cart_id)
        for product, quantity in lines.items():
            self.ask(CARRITO, f"/carts/{cart_id}/items", {"product_id": product, "quantity": quantity})
        return cart_id

    def begin(self, cart_id: str, style: str, method: str, way: str) -> None:
        """Check a cart out: at carrito, at the style's own service, or by freezing it, so that carrito hands it on."""
        checkout_body = self.shop.checkout_body(cart_id, method, self.user)
        window, root = WINDOWS[style]
        if way == "freeze":
            checkout_body.pop("cart_id")
            begun = self.ask(CARRITO, f"/carts/{cart_id}/checkout", {**checkout_body, "saga_pattern": style})
        elif way == CARRITO:
            begun = self.ask(CARRITO, "/checkout/saga", {**checkout_body, "saga_pattern": style})
        else:
            begun = self.ask(window, f"{root}/checkout", checkout_body)
        if begun is not None and begun.status in {201, 202}:
            self.adopt(str(begun.body["saga_id"]))

    def adopt(self, saga_id: str) -> None:
        """Read all about a saga whose id is known."""
        found = self.ask(CARRITO, f"/checkouts/{saga_id}")
        if found is None or found.status != 200 or found.body["saga_pattern"] is None:
            return
        about = found.body
        saga = Saga(
            saga_id=saga_id,
            cart_id=about["cart_id"],
            user_id=about["user_id"],
            style=about["saga_pattern"],
            method=about["payment_method"],
            payment_id=about["payment_id"],
            order_id=about["order_id"],
            lines={item["product_id"]: item["quantity"] for item in about["items"]},
            total=about["total"],
        )
        self.sagas.append(saga)
        self.shop.know(saga_id, about["saga_pattern"])

    def cart(self, number: int) -> str:
        """Return one of the carts, the latest first."""
        return self.carts[-1 - number % len(self.carts)]

    def change(self, cart_id: str, product: int, quantity: int) -> None:
        """Add so many of a product; for 0, remove the product."""
        path = f"/carts/{cart_id}/items"
        if quantity:
            self.ask(CARRITO, path, {"product_id": product, "quantity": quantity})
        else:
            with suppress(requests.RequestException):
                requests.delete(f"{self.shop.urls[CARRITO]}{path}/{product}", timeout=HANG_SECONDS)

    # Requests that only this shopper sends.

    def make_up(self, cart_id: str, lines: dict[int, int], total: Decimal) -> None:
        """Make up a saga that no service began."""
        ids = [str(uuid4()) for _ in range(3)]
        self.sagas.append(Saga(ids[0], cart_id, self.user, None, "paypal", ids[1], ids[2], lines, total))

    def take_over(self, number: int, style: str, twist: str) -> None:
        """Begin a known saga again, perhaps in the other style, perhaps with a changed field."""
        if not self.sagas:
            return
        saga = self._saga(number)
        window, root = WINDOWS[style]
        checkout_body = self._checkout_body(saga)
        checkout_body |= self._changed(checkout_body, twist, number // 2)
        reply = self.ask(window, f"{root}/checkout", checkout_body)
        same = [each for each in self.sagas if each.style == style and self._checkout_body(each) == checkout_body]
        if reply is not None and reply.status < 300 and not same:
            self.errors.append(f"taken over: {self.answers[-1]}")

    def attempt(self, attempts: Sequence[Attempt], *, meanwhile: Callable[[], None] | None = None) -> None:
        """Request steps, all at the same time; `meanwhile` is called during these requests."""
        wanted = [(attempt.step, self._request(attempt)) for attempt in attempts if self.sagas]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            replies = pool.map(lambda each: self.ask(each[0].service, *each[1]), wanted)
            if meanwhile is not None:
                meanwhile()
        for (step, (path, body)), reply in zip(wanted, list(replies), strict=True):
            if reply is None:
                self._remember(step, path, body, None, None)
            else:
                self._remember(step, path, body, reply.status, reply.body.get("type"))

    def attempt_together(self, service: str, attempts: Sequence[Attempt]) -> None:
        """Request steps of one service in one request, as the orchestrator does."""
        wanted = [(each.step, self._request(each)) for each in attempts if self.sagas and each.step.service == service]
        if not wanted:
            return
        commands = [{"path": path, "body": body} for _, (path, body) in wanted]
        reply = self.ask(service, "/saga-commands", {"commands": commands})
        unknown: dict[str, Any] = {"status": None, "body": {}}
        outcomes = [unknown] * len(wanted) if reply is None or reply.status != 200 else reply.body["outcomes"]
        self.answers.append(f"{[(each['status'], each['body'].get('detail')) for each in outcomes]}")
        self.errors += [f"{service} {commands}: {each}" for each in outcomes if each["status"] == 500]
        for (step, (path, body)), outcome in zip(wanted, outcomes, strict=True):
            self._remember(step, path, body, outcome["status"], outcome["body"].get("type"))

    def undo(self, number: int) -> None:
        """Request the compensation of a saga, as operators do."""
        saga = self._saga(number) if self.sagas else None
        if saga is not None and saga.style is not None:
            window, root = WINDOWS[saga.style]
            self.ask(window, f"{root}/{saga.saga_id}/compensate", {})

    def ask(self, service: str, path: str, body: Body | None = None) -> Reply | None:
        """Send a request; return any answer, or None without one, as when a process was killed."""
        try:
            reply = self.shop.get(service, path) if body is None else self.shop.post(service, path, body)
        except PEER_FAILED as error:
            self.answers.append(f"{service} {path} {body} -> {error.detail}")
            return None
        told = {name: reply.body[name] for name in ("status", "type", "field", "detail") if name in reply.body}
        self.answers.append(f"{service} {path} {body} -> {reply.status} {told}")
        if reply.status == 500:
            self.errors.append(self.answers[-1])
        return reply

    def _checkout_body(self, saga: Saga) -> dict[str, Any]:
        return {**self.shop.checkout_body(saga.cart_id, saga.method, saga.user_id), "saga_id": saga.saga_id}

    def _request(self, attempt: Attempt) -> tuple[str, dict[str, Any]]:
        """Return the path and the body of the attempt."""
        saga = self._saga(attempt.saga)
        path, body = attempt.step.request(saga)
        if attempt.twist == "path":
            path, _ = attempt.step.request(self._saga(attempt.other))
        body |= self._changed(body, attempt.twist, attempt.other)
        body.pop(attempt.twist.removeprefix("no "), None) if attempt.twist.startswith("no ") else None
        return path, body

    def _changed(self, body: Body, twist: str, number: int) -> dict[str, Any]:
        """Change one field: to another saga's value, or to any other."""
        other = self.sagas[-1 - number % len(self.sagas)]
        values: dict[str, Any] = {
            **{name: getattr(other, name) for name in ("saga_id", "cart_id", "payment_id", "order_id")},
            "items": [{"product_id": self.products[number % len(self.products)], "quantity": 1 + number % 3}],
            "user_id": OTHER_USER,
            "amount": Decimal("0.01"),
            "payment_method": ("declined_card", "debit_card", "wallet")[number % 3],
            "billing_address": "Elsewhere 2",
        }
        return {twist: values[twist]} if twist in body else {}

    def _remember(self, step: Step, path: str, body: Body, status: int | None, problem: str | None) -> None:
        """Record what may have been done, and for which saga."""
        left_nothing = status is not None and 400 <= status < 500 and status != 402 and problem not in KEPT
        if left_nothing:
            return
        for saga in self.sagas:
            if body.get("saga_id", "") == saga.saga_id or (not step.of_cart and path == step.request(saga)[0]):
                saga.contradicted = saga.contradicted or _differs(step, path, body, saga)
            elif body.get("payment_id") == saga.payment_id or body.get("order_id") == saga.order_id:
                saga.contradicted = True  # another request has used its id

    def _saga(self, number: int) -> Saga:
        return self.sagas[-1 - number % len(self.sagas)]


def _differs(step: Step, path: str, body: Body, saga: Saga) -> bool:
    """Whether the request differs from the saga's own; carrito fills in fields that are left out."""
    right_path, right = step.request(saga)
    left_out = right.keys() - body.keys() - ({"saga_id"} if step.service == CARRITO else set())
    if step.name == "order":
        left_out = set()
    return path != right_path or bool(left_out) or any(body[name] != right[name] for name in body)

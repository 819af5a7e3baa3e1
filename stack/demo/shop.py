"""The shop over HTTP: the requests of a checkout, from an empty cart to its outcome."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests

from shared.ids import new_id
from shared.json_codec import dumps, loads
from stack import local_http, settings
from stack.errors import StackError

WAIT_SECONDS = 30  # the longest wait that a request may prefer
TIMEOUT = (1.0, WAIT_SECONDS + 10.0)  # seconds to connect, and to answer
Json = dict[str, Any]


@dataclass(frozen=True)
class Style:
    """One of the two styles: its name in a request, the service that shows its sagas, and where."""

    name: str
    service: str
    path: str


ORCHESTRATED = Style("orchestrated", "saga_orchestrator", "/saga")
CHOREOGRAPHED = Style("choreographed", "saga_choreography", "/saga/choreography")


class ShopError(StackError):
    """A service did not answer, or not as expected."""


@dataclass(frozen=True)
class Request:
    """An HTTP request, which can be sent, or shown so that anyone can send it."""

    method: str
    url: str
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def curl(self) -> str:
        """The same as a command line."""
        headers = {**({} if self.body is None else {"Content-Type": "application/json"}), **self.headers}
        method = [] if self.method == "GET" else ["-X", self.method]
        words = ["curl", "-s", *local_http.curl_options(), *method, shlex.quote(self.url)]
        lines = [" ".join(words)]
        if headers:
            lines.append(" ".join(f"-H {shlex.quote(f'{name}: {value}')}" for name, value in headers.items()))
        if self.body is not None:
            lines.append(f"-d {shlex.quote(dumps(self.body))}")
        return " \\\n  ".join(lines)


class Shop:
    """The services, by name; prices are `Decimal`."""

    def __init__(self, urls: Mapping[str, str]) -> None:
        self.urls = urls
        self._session = local_http.session()
        self._session.headers.update(settings.credentials())

    def send(self, request: Request) -> Json:
        """Send a request; return the answer's JSON. Raises `ShopError` without an answer, or for a problem."""
        return self._ok(request, self._send(request))

    def get(self, service: str, path: str) -> Json:
        """Send a GET request."""
        return self.send(Request("GET", self.urls[service] + path))

    def stock_up(self, sku: str, name: str, price: str, at_least: int) -> Json:
        """Return a product with at least this stock: a new one, or the one with this sku, restocked."""
        url = self.urls["inventario"] + "/api/products"
        body = {"sku": sku, "name": name, "price": price, "quantity": at_least}
        request = Request("POST", url, body)
        reply = self._send(request)
        if reply.status_code != 409:
            return self._ok(request, reply)
        product = self._find(sku)
        missing = at_least - product["available"]
        if missing <= 0:
            return product
        return self.send(Request("POST", f"{url}/{product['id']}/restock", {"quantity": missing}))

    def stock(self, product: Json) -> tuple[int, int, int]:
        """Return how many of a product are available, held and sold."""
        now = self.get("inventario", f"/api/products/{product['id']}")
        return now["available"], now["held"], now["sold"]

    def fill_cart(self, user: str, product: Json, quantity: int) -> Json:
        """Create a cart with a quantity of one product."""
        carts = self.urls["carrito"] + "/carts"
        cart = self.send(Request("POST", carts, {"user_id": user}))
        item = {"product_id": product["id"], "quantity": quantity}
        return self.send(Request("POST", f"{carts}/{cart['id']}/items", item))

    def can_fail(self) -> bool:
        """Whether steps can be made to fail on purpose here (`FAULTS=true`)."""
        return self._send(Request("GET", self.urls["pagos"] + "/faults")).status_code != 404

    def checkout(
        self, cart: Json, payment_method: str, style: Style = ORCHESTRATED, wait: int = 0, fault: str = ""
    ) -> Request:
        """The request that checks a cart out; with `wait`, it is answered when the saga has ended.

        `fault` names the faults to inject into the saga.

        The key makes it safe to repeat: the answer is the same, and nothing happens twice.
        """
        body = {
            "cart_id": cart["id"],
            "user_id": cart["user_id"],
            "payment_method": payment_method,
            "billing_address": "1 Main Street, Springfield",
            "saga_pattern": style.name,
        }
        headers = {"Idempotency-Key": f'"{new_id()}"', **({"Prefer": f"wait={wait}"} if wait else {})}
        headers |= {"X-Fault": fault} if fault else {}
        return Request("POST", self.urls["carrito"] + "/checkout/saga", body, headers)

    def saga(self, style: Style, saga_id: str) -> Json | None:
        """Return a saga; None while its service does not know it yet."""
        request = Request("GET", f"{self.urls[style.service]}{style.path}/{saga_id}")
        reply = self._send(request)
        return None if reply.status_code == 404 else self._ok(request, reply)

    def timeline(self, style: Style, saga_id: str) -> list[Json]:
        """Return the timeline of a saga."""
        items: list[Json] = self.get(style.service, f"{style.path}/{saga_id}/timeline")["items"]
        return items

    def _find(self, sku: str) -> Json:
        after: int | None = 0
        while after is not None:
            page = self.get("inventario", f"/api/products?after={after}&limit=200")
            for product in page["items"]:
                if product["sku"] == sku:
                    found: Json = product
                    return found
            after = page["next_after"]
        raise ShopError(f"There is no product with sku {sku}, though it is taken.")

    def _send(self, request: Request) -> requests.Response:
        body = None if request.body is None else dumps(request.body)
        headers = {"Content-Type": "application/json", **request.headers}
        try:
            return self._session.request(request.method, request.url, data=body, headers=headers, timeout=TIMEOUT)
        except requests.RequestException as error:
            raise ShopError(f"No answer from {request.url}. Is everything up? make status") from error

    def _ok(self, request: Request, reply: requests.Response) -> Json:
        if not reply.ok:
            raise ShopError(f"{request.method} {request.url} was answered {reply.status_code}: {reply.text.strip()}")
        try:
            answer: Json = loads(reply.content)
        except ValueError as error:
            raise ShopError(f"{request.method} {request.url} was answered without JSON: {reply.text[:200]}") from error
        return answer

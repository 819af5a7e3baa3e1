"""Fills carts and checks them out."""

from collections.abc import Sequence

from dashboard.service_client import Json, ServiceClient, TokenNeeded, bearer, items_of, refusal

MOST_PRODUCTS = 200  # as many as one request lists
ADDRESS = "1 High Street"  # any text will do


class Checkouts(ServiceClient):
    """Requests that fill carts and check them out."""

    def products(self) -> list[Json]:
        """Return the first products that are in stock. Raises `Unreachable`."""
        page = self._needed("inventario", f"/api/products?limit={MOST_PRODUCTS}")
        return [each for each in items_of(page) or () if each["available"] > 0]

    def fill_cart(self, user: str, lines: Sequence[Json]) -> str:
        """Create a cart with these items; return its id. Raises `Unreachable`, or `Refused`."""
        cart_id = str(self._done("carrito", "/carts", {"user_id": user})["id"])
        for line in lines:
            self._done("carrito", f"/carts/{cart_id}/items", line)
        return cart_id

    def check_out(self, cart_id: str, style: str, customer: Json, fault: str = "", token: str = "") -> str:
        """Check a cart out in this style with these faults; return the saga's id.

        `customer` has the `user_id` and the `payment_method`. Raises `Unreachable`, `Refused`, or `TokenNeeded`: faults
        are for operators.
        """
        body = {"cart_id": cart_id, "saga_pattern": style, "billing_address": ADDRESS, **customer}
        headers = {"X-Fault": fault, **bearer(token)} if fault else {}
        return str(self._done("carrito", "/checkout/saga", body, headers)["saga_id"])

    def _done(self, service: str, path: str, body: Json, headers: Json | None = None) -> Json:
        reply = self._post(service, path, body, headers or {})
        if reply.status == 401:
            raise TokenNeeded
        if reply.status >= 300:
            raise refusal(service, reply)
        return reply.body

"""What must hold when all that a hostile shopper began has ended."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from typing import Any

from shared.testing import wait_until
from tests.e2e.hostile import Saga, Shopper
from tests.e2e.shop import CARRITO, INVENTARIO, PAGOS, WINDOWS, Shop

SECONDS = 120.0  # only keeps a test from hanging
ENDED = ("completed", "compensated")
Rows = list[Mapping[str, Any]]


@dataclass(frozen=True)
class Expected:
    """The quantity of each product and the wallet's balance at the beginning."""

    stock: Mapping[int, int]
    wallet: Decimal


@dataclass(frozen=True)
class Books:
    """All orders, payments and lines of reservations of the shopper's carts, by saga."""

    orders: Mapping[str, Rows]
    payments: Mapping[str, Rows]
    lines: Mapping[str, Rows]

    @classmethod
    def read(cls, shop: Shop, cart_ids: Iterable[str]) -> "Books":
        """Read those of these carts; all that a saga has is in a cart that the shopper knows."""
        ids = sorted(set(cart_ids))
        return cls(
            _by_saga(shop, CARRITO, "/orders/saga", ids),
            _by_saga(shop, PAGOS, "/api/v1/payments/saga", ids),
            _by_saga(shop, INVENTARIO, "/api/products/reservations", ids),
        )

    def sold(self, saga_id: str) -> dict[int, int]:
        """Return the quantities sold to a saga, by product."""
        return self._with_status(saga_id, "committed")

    def held(self, saga_id: str) -> dict[int, int]:
        """Return the quantities held for a saga, by product."""
        return self._with_status(saga_id, "held")

    def kept(self, saga_id: str) -> Decimal:
        """Return what was captured of a saga's money, and not refunded."""
        return sum((_kept(each) for each in self.payments[saga_id]), Decimal(0))

    def standing(self, saga_id: str) -> Rows:
        """Return a saga's orders that were not cancelled."""
        return [each for each in self.orders[saga_id] if each["status"] != "cancelled"]

    def _with_status(self, saga_id: str, status: str) -> dict[int, int]:
        return {each["product_id"]: each["quantity"] for each in self.lines[saga_id] if each["status"] == status}


def check(shopper: Shopper, expected: Expected) -> None:
    """Restart everything, wait until all sagas have ended, and check the books; errors list requests and answers."""
    try:
        _check(shopper, expected)
    except AssertionError as error:
        said = "\n".join(shopper.answers)
        raise AssertionError(f"{error}\n{said}") from error


def _check(shopper: Shopper, expected: Expected) -> None:
    shop = shopper.shop
    shop.mend()
    shop.until_well()
    _adopt_unknown(shopper)
    begun = [saga for saga in shopper.sagas if saga.style is not None]
    became = {saga.saga_id: _until_ended(shop, saga) for saga in begun}
    books = Books.read(shop, [*shopper.carts, *(saga.cart_id for saga in shopper.sagas)])
    assert not shopper.errors, shopper.errors
    for saga in begun:
        _check_begun(shop, saga, became[saga.saga_id], books)
    known = {saga.saga_id for saga in begun}
    for saga_id in {*books.orders, *books.payments, *books.lines} - known:
        _check_made_up(shop, saga_id, books)
    _check_totals(shop, shopper.user, expected, books)


def _adopt_unknown(shopper: Shopper) -> None:
    """Add the sagas whose beginning was not answered; those that are not handed over yet have their carts."""
    known = {saga.saga_id for saga in shopper.sagas}
    found: set[str] = set()
    for cart_id in shopper.carts:
        found.add(shopper.shop.cart_as_it_is(cart_id)["saga_id"] or "")
        for window, root in WINDOWS.values():
            path = f"{root}/status" if root.endswith("choreography") else root
            listed = shopper.shop.get(window, f"{path}?cart_id={cart_id}").body["items"]
            found |= {each["saga_id"] for each in listed}
    for saga_id in sorted(found - known - {""}):
        shopper.adopt(saga_id)


def _until_ended(shop: Shop, saga: Saga) -> str:
    """Return how a saga ended by itself, whatever was requested under its id."""
    assert saga.style is not None
    window, root = WINDOWS[saga.style]

    def status() -> str:
        return str(shop.get(window, f"{root}/{saga.saga_id}").body.get("status"))

    return wait_until(lambda: _one_of(status(), ENDED), f"{saga} ends", SECONDS)


def _check_begun(shop: Shop, saga: Saga, status: str, books: Books) -> None:
    """Check that all of the cart, as it was when the saga began, was sold and paid; or nothing."""
    orders, payments, lines = books.orders[saga.saga_id], books.payments[saga.saga_id], books.lines[saga.saga_id]
    standing, kept = books.standing(saga.saga_id), books.kept(saga.saga_id)
    told = f"{saga} is {status}: {orders}, {payments}, {lines}"
    assert max(len(orders), len(payments)) <= 1, told
    assert all(each["cart_id"] == saga.cart_id for each in orders), told
    assert all(_lines(each) == saga.lines and each["total"] == saga.total for each in orders), told
    if status == "completed":
        assert len(standing) == 1, told
        assert standing[0]["status"] == "confirmed", told
        assert standing[0]["total"] == kept, told
        assert books.sold(saga.saga_id) == saga.lines, told
        assert not books.held(saga.saga_id), told
    elif status == "compensated":
        assert standing == [], told
        if not saga.contradicted:
            assert kept == 0, told
            assert not books.sold(saga.saga_id), told
            assert not books.held(saga.saga_id), told
    cart = shop.cart_as_it_is(saga.cart_id)
    has_cart = cart["saga_id"] == saga.saga_id
    if status in ENDED:
        assert has_cart == (status == "completed"), f"{told}, {cart}"
    others = [where for style, where in WINDOWS.items() if style != saga.style]
    assert all(shop.get(window, f"{root}/{saga.saga_id}").status == 404 for window, root in others), told


def _check_made_up(shop: Shop, saga_id: str, books: Books) -> None:
    """Check that a made-up saga has one cart, whose contents are its order; no service runs it."""
    orders, payments, lines = books.orders[saga_id], books.payments[saga_id], books.lines[saga_id]
    told = f"made up: {orders}, {payments}, {lines}"
    assert max(len(orders), len(payments)) <= 1, told
    assert len({each["cart_id"] for each in payments}) <= 1, told
    assert all(0 <= each["refunded"] <= each["amount"] for each in payments), told
    for order in orders:
        about = shop.get(CARRITO, f"/checkouts/{saga_id}").body
        assert order["cart_id"] == about["cart_id"], told
        assert _lines(order) == _lines(about), told
        assert order["total"] == sum(each["unit_price"] * each["quantity"] for each in about["items"]), told
    for window, root in WINDOWS.values():
        assert shop.get(window, f"{root}/{saga_id}").status == 404, told


def _check_totals(shop: Shop, user: str, expected: Expected, books: Books) -> None:
    """Check that stock and money are where the reservations and payments say."""
    lines = list(chain.from_iterable(books.lines.values()))
    for product, seeded in expected.stock.items():
        held, sold = (
            sum(each["quantity"] for each in lines if (each["product_id"], each["status"]) == (product, status))
            for status in ("held", "committed")
        )
        stock = shop.stock(product)
        assert stock == (seeded - held - sold, held, sold), f"product {product}: {stock}, not {held} held, {sold} sold"
    paid = [each for each in chain.from_iterable(books.payments.values()) if each["payment_method"] == "wallet"]
    spent = sum((_kept(each) for each in paid if each["user_id"] == user), Decimal(0))
    balance = shop.get(PAGOS, f"/api/v1/wallets/{user}").body["balance"]
    assert balance == expected.wallet - spent, f"wallet: {balance}, spent {spent}"


def _by_saga(shop: Shop, service: str, path: str, cart_ids: Iterable[str]) -> Mapping[str, Rows]:
    found: dict[str, Rows] = defaultdict(list)
    for cart_id in cart_ids:
        for each in shop.get(service, f"{path}/{cart_id}").body["items"]:
            found[each["saga_id"]].append(each)
    return found


def _kept(payment: Mapping[str, Any]) -> Decimal:
    kept: Decimal = payment["amount"] - payment["refunded"]
    return Decimal(0) if payment["status"] == "declined" else kept


def _lines(order: Mapping[str, Any]) -> dict[int, int]:
    return {each["product_id"]: each["quantity"] for each in order["items"]}


def _one_of(status: str, statuses: Iterable[str]) -> str:
    return status if status in statuses else ""

"""The plan of a steady load: checkouts per second, shares of styles and declines, payment method, products. No I/O."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MOST_RATE = 50  # checkouts per second: a fraction of what a laptop's stack can take
SPREAD = 17  # products; a prime number, so that every style and every decline meets each of them
PRODUCTS = {"spread": f"{SPREAD} products in turn", "hot": "one product for all: the hot row"}
PAYING = ("credit_card", "debit_card", "paypal", "wallet")
DECLINED = "declined_card"
MOST_DIGITS = 9  # of a number in the form: more than any limit has


@dataclass(frozen=True)
class LoadPlan:
    """`rate` is checkouts per second; the shares are percentages."""

    rate: int = 5
    choreographed: int = 50
    declined: int = 10
    method: str = "credit_card"  # of those that are not to be declined
    products: str = "spread"

    @classmethod
    def of(cls, form: Mapping[str, str]) -> "LoadPlan":
        """Parse a form. Raises `ValueError`, which names what is missing or invalid."""
        numbers = {
            "rate": _whole(form, "rate", 1, MOST_RATE),
            "choreographed": _whole(form, "choreographed", 0, 100),
            "declined": _whole(form, "declined", 0, 100),
        }
        method, products = form.get("method", ""), form.get("products", "")
        if method not in PAYING or products not in PRODUCTS:
            raise ValueError("There is no such way to pay, or choice of products.")
        return cls(**numbers, method=method, products=products)

    @property
    def said(self) -> str:
        """The plan in words."""
        rate = f"{self.rate} a second"
        return f"{rate}, {self.choreographed} % choreographed, {self.declined} % declined, {PRODUCTS[self.products]}"


@dataclass(frozen=True)
class Planned:
    """One checkout that is due."""

    style: str
    method: str
    product: int


class Mix:
    """Chooses checkouts so that all shares are spread evenly. Not thread-safe."""

    def __init__(self) -> None:
        self._all = 0
        self._of_style = Counter[str]()

    def next(self, plan: LoadPlan, products: Mapping[str, Sequence[int]]) -> Planned:
        """Return the next checkout; `products` are ids by the plan's choice."""
        style = "choreographed" if _is_due(self._all, plan.choreographed) else "orchestrated"
        number = self._of_style[style]
        self._all += 1
        self._of_style[style] += 1
        of = products[plan.products]
        method = DECLINED if _is_due(number, plan.declined) else plan.method
        return Planned(style, method, of[number % len(of)])


def _is_due(number: int, percent: int) -> bool:
    return (number + 1) * percent // 100 > number * percent // 100


def _whole(form: Mapping[str, str], name: str, least: int, most: int) -> int:
    text = form.get(name, "").strip()
    number = int(text) if text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS else None
    if number is None or not least <= number <= most:
        raise ValueError(f"{name.capitalize()} is a whole number from {least} to {most}.")
    return number

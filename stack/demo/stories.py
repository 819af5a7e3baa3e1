"""The checkouts of the demo: how each should end, and how one did."""

from dataclasses import dataclass
from decimal import Decimal

from stack.costs import Costs
from stack.demo.narration import seconds
from stack.demo.shop import Json, Shop, Style

Stock = tuple[int, int, int]  # available, held, sold


@dataclass(frozen=True)
class Story:
    """A checkout of the demo and its expected end. It runs once for each style."""

    title: str
    told: str
    user: str
    payment_method: str
    sku: str
    quantity: int
    saga: str  # its status at the end
    order: str  # the order's, or "none"
    bought_before: str = ""  # the user who buys the whole stock after the cart was filled
    fault: str = ""  # the faults to inject, in the notation of `X-Fault`


MUG, POT = "DEMO-MUG", "DEMO-POT"
SUCCESS = Story("1. Success", "Ana's card is good.", "ana", "credit_card", MUG, 2, "completed", "confirmed")
DECLINED = Story(
    "2. Declined card",
    "Bruno's card is declined, when stock is held for him already: it goes back.",
    "bruno",
    "declined_card",
    MUG,
    3,
    "compensated",
    "none",
)
SHORTAGE = Story(
    "3. Stock shortage",
    "Carla has the last moka pot in her cart. So has Diego, and he checks out first.",
    "carla",
    "credit_card",
    POT,
    1,
    "compensated",
    "none",
    bought_before="diego",
)
KILLED = Story(
    "4. Killed service",
    "pagos takes Fatima's money, and is killed before it can say so. It comes back, and the checkout goes on.",
    "fatima",
    "paypal",
    MUG,
    1,
    "completed",
    "confirmed",
    fault="process_payment=kill:after",
)
STORIES = (SUCCESS, DECLINED, SHORTAGE, KILLED)


@dataclass(frozen=True)
class Result:
    """The result of a checkout: its order's status, or "none", and money."""

    order: str
    captured: Decimal
    refunded: Decimal


@dataclass(frozen=True)
class Ending:
    """The outcome of a checkout according to each service, and its costs."""

    story: Story
    style: Style
    saga: Json
    result: Result
    before: Stock
    after: Stock
    costs: Costs

    def as_told(self) -> bool:
        """Whether it ended as its story expects: everything done and paid, or nothing."""
        sold = self.story.quantity if self.story.saga == "completed" else 0
        available, held, sold_before = self.before
        return (
            (self.saga["status"], self.result.order) == (self.story.saga, self.story.order)
            and self.result.captured - self.result.refunded == (self.saga["total"] if sold else 0)
            and self.after == (available - sold, held, sold_before + sold)
        )

    def outcome(self) -> tuple[str, ...]:
        """A row for the table of outcomes."""
        status = self.saga["status"] if self.as_told() else f"{self.saga['status']} (NOT AS TOLD)"
        stock = f"{'/'.join(map(str, self.before))} -> {'/'.join(map(str, self.after))}"
        money = f"{self.result.captured} / {self.result.refunded}"
        return self.story.title, self.style.name, status, self.result.order, money, stock

    def effort(self) -> tuple[str, ...]:
        """A row for the table of costs."""
        took = f"{seconds(self.saga['created_at'], self.saga['ended_at']) * 1000:.0f} ms"
        counted = (self.costs.http_calls, self.costs.messages, self.costs.commits)
        return self.story.title, self.style.name, took, *("-" if each is None else str(each) for each in counted)


OUTCOME = ("checkout", "style", "saga", "order", "captured / refunded", "stock: available/held/sold")
EFFORT = ("checkout", "style", "time to end", "HTTP calls", "messages", "commits")
NOTE = "HTTP calls: answered, the client's included. Messages: events published. Commits: transactions that wrote."


def result_of(shop: Shop, saga: Json) -> Result:
    """Read from the services what became of order and money."""
    orders = shop.get("carrito", f"/orders/saga/{saga['cart_id']}")["items"]
    payments = shop.get("pagos", f"/api/v1/payments/saga/{saga['cart_id']}")["items"]
    return Result(
        order=", ".join(order["status"] for order in orders) or "none",
        captured=sum((each["amount"] for each in payments if each["status"] != "declined"), Decimal("0.00")),
        refunded=sum((each["refunded"] for each in payments), Decimal("0.00")),
    )

"""Every saga ends and the books balance, for any order and repetition of events, cancellations and expiries.

Also when somebody compensates a step by hand before requesting the compensation of the whole saga.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.event_bus import CARRITO, CHOREOGRAPHY, INVENTARIO, PAGOS, Event
from shared.testing import concurrently, wait_until
from tests.integration.choreographed_world import Became, History, Saga, World

SHELVES = (1000, 3)  # quantities: plenty, and scarce
WALLET_MINOR = 5000  # enough for some sagas, and not for others
PERSON, DEADLINE, EXPIRY = "a person wants it undone", "it is late", "its hold is over"
BY_HAND = {"its order is cancelled by hand": CARRITO, "its stock is": INVENTARIO, "its money is given back": PAGOS}
SAGAS = 40  # with several workers
QUIET = 11  # more events than a completed saga has: when nothing is in flight
BATCH, WINDOW_BATCH = 5, 20
COMPLETED, FAILED = "checkout.completed", "checkout.failed"

STANDS = Became("committed", "captured", ["capture"], "confirmed", "completed")


@dataclass
class Purchase:
    """A cart to check out, perhaps again after a failure, and what happens during its checkout."""

    cart_id: UUID
    methods: list[str]
    mishaps: list[tuple[int, str]]  # when so many of the saga's events were published


MISHAPS = st.lists(st.tuples(st.integers(0, QUIET), st.sampled_from([PERSON, DEADLINE, EXPIRY, *BY_HAND])), max_size=3)
PURCHASES = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 1]),  # the index of the product
        st.integers(1, 3),
        st.lists(st.sampled_from(["paypal", "paypal", "wallet", "declined_card"]), min_size=1, max_size=2),
        MISHAPS,
    ),
    min_size=1,
    max_size=5,
)
FATES: list[dict[str, bool]] = [{}, {}, {}, {"again": True}, {"dies": True}]


class Play:
    """One drawn history."""

    def __init__(self, history: History, data: st.DataObject) -> None:
        self.history = history
        self._data = data
        self._wishes = [
            Purchase(history.open_cart([*history.products][shelf], quantity), methods, mishaps)
            for shelf, quantity, methods, mishaps in data.draw(PURCHASES)
        ]
        self._copies: dict[tuple[str, UUID], int] = {}

    def run(self) -> None:
        """Run until nothing is in flight or left to happen; then deliver all events to saga_choreography, twice."""
        while self._go_on():
            self._meet_mishaps(quiet=False)
        show(self.history)

    def _go_on(self) -> bool:
        """Let something happen; return False if nothing can."""
        beginning = [purchase for purchase in self._wishes if purchase.methods and self._is_free(purchase)]
        busy = [name for name, events in self.history.in_flight.items() if events and name != CHOREOGRAPHY]
        if not beginning and not busy:
            return self._meet_mishaps(quiet=True)
        choice = self._pick(len(beginning) + len(busy))
        if choice < len(beginning):
            self.history.begin(beginning[choice].cart_id, beginning[choice].methods.pop(0))
        else:
            self._deliver(busy[choice - len(beginning)])
        return True

    def _deliver(self, name: str) -> None:
        in_flight = self.history.in_flight[name]
        first = self._pick(len(in_flight))
        events = (in_flight[first:] + in_flight[:first])[: self._pick(min(len(in_flight), BATCH)) + 1]
        self.history.deliver(name, events, **self._fate(name, events))

    def _fate(self, name: str, events: list[Event]) -> dict[str, bool]:
        """Draw how a batch is delivered: mostly once, and at most three times."""
        fate = FATES[self._pick(len(FATES))]
        for each in events:
            self._copies[name, each.id] = self._copies.get((name, each.id), 0) + 1
        return fate if all(self._copies[name, each.id] < 3 for each in events) else {}

    def _meet_mishaps(self, *, quiet: bool) -> bool:
        """Let due mishaps happen; if nothing is in flight, the first of those that are left."""
        for purchase in self._wishes:
            sagas = self.history.carts[purchase.cart_id]
            if not sagas:
                continue
            told = self.history.told(sagas[-1]).total()
            for mishap in [each for each in purchase.mishaps if quiet or each[0] <= told]:
                purchase.mishaps.remove(mishap)
                purchase.mishaps += [(QUIET, PERSON)] * (mishap[1] in BY_HAND)
                meet(self.history, sagas[-1], mishap[1])
                if quiet:
                    return True
        return False

    def _is_free(self, purchase: Purchase) -> bool:
        return all(self.history.told(saga)[FAILED] for saga in self.history.carts[purchase.cart_id])

    def _pick(self, count: int) -> int:
        return self._data.draw(st.integers(0, count - 1)) if count > 1 else 0


def meet(history: History, saga: Saga, mishap: str) -> None:
    """Let this happen to a saga."""
    if mishap in BY_HAND:
        history.undo_by_hand(saga, BY_HAND[mishap])
    elif mishap == EXPIRY:
        history.expire(saga)
    else:
        history.cancel(saga, late=mishap == DEADLINE)


def show(history: History) -> None:
    """Deliver all events to saga_choreography, backwards and twice."""
    told = history.in_flight[CHOREOGRAPHY][::-1]
    history.deliver(CHOREOGRAPHY, told, again=True)
    for start in range(0, len(told), WINDOW_BATCH):
        history.deliver(CHOREOGRAPHY, told[start : start + WINDOW_BATCH])


def check(history: History) -> None:
    """Check that every saga has ended, and that all books agree with the published events."""
    standing = []
    for saga, became in history.became():
        told = history.told(saga)
        stands = bool(told[COMPLETED]) and not told[FAILED]
        standing += [saga] if stands else []
        assert told[COMPLETED] or told[FAILED], "it has not ended"
        assert stands == may_stand(history, saga, stands=stands)
        assert became == STANDS if stands else is_undone(became), became
        assert set(history.amounts(saga, "payment.refunded")) <= {*history.amounts(saga, "payment.processed"), 0}
    check_carts(history, standing)
    check_shelves(history, standing)
    paid = sum(saga.begun.total_minor for saga in standing if saga.begun.payment_method == "wallet")
    assert history.wallet_minor() == history.deposited_minor - paid


def may_stand(history: History, saga: Saga, *, stands: bool) -> bool:
    """Whether a saga must stand, or must not; if both are allowed, whether it does."""
    if saga.by_a_person or saga.begun.payment_method == "declined_card":
        return False
    if history.told(saga)[COMPLETED]:
        return True
    at_ease = saga.begun.payment_method == "paypal" and saga.begun.items[0].product_id == min(history.products)
    return stands or (at_ease and not (saga.by_a_deadline or saga.expired or saga.by_hand))


def is_undone(became: Became) -> bool:
    """Whether nothing of it is left."""
    return (
        became.reservation in {None, "released", "expired"}
        and (became.payment, became.booked) in ((None, []), ("declined", []), ("refunded", ["capture", "refund"]))
        and became.order in {None, "cancelled"}
        and became.shown == "compensated"
    )


def check_carts(history: History, standing: list[Saga]) -> None:
    """Check that each cart is checked out by the saga that stands, or is open."""
    for cart_id, sagas in history.carts.items():
        buyers = [saga.begun.saga_id for saga in sagas if saga in standing]
        assert history.cart(cart_id) == (("checked_out", *buyers) if buyers else ("open", None))


def check_shelves(history: History, standing: list[Saga]) -> None:
    """Check that standing sagas' purchases are sold, nothing is held, and the rest is available."""
    for product_id, seeded in history.products.items():
        sold = sum(each.quantity for saga in standing for each in saga.begun.items if each.product_id == product_id)
        assert history.shelves(product_id) == (seeded - sold, 0, sold)


@pytest.fixture
def world(service_client: Callable[..., FlaskClient], fresh_database_url: str) -> World:
    return World(service_client, fresh_database_url)


@settings(max_examples=50, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), print_blob=True)
@given(data=st.data())
def test_every_saga_ends_with_all_or_nothing(world: World, data: st.DataObject) -> None:
    play = Play(History(world, SHELVES, WALLET_MINOR), data)
    play.run()
    check(play.history)


@pytest.mark.parametrize("seed", [1, 2])
def test_it_does_so_too_when_several_workers_of_each_service_work_at_once(world: World, seed: int) -> None:
    """They deliver any events in flight, some at the same time, while sagas are cancelled and holds expire."""
    chance = random.Random(seed)
    history = History(world, (1000, 20), wallet_minor=40_000)
    for _ in range(SAGAS):
        cart = history.open_cart(chance.choice([*history.products]), chance.randint(1, 3))
        history.begin(cart, chance.choice(["paypal", "paypal", "wallet", "declined_card"]))
    mishaps = [(saga, what) for saga in history.sagas.values() for what in chance.sample([PERSON, DEADLINE, EXPIRY], 1)]
    chance.shuffle(mishaps)

    def work(name: str, chance: random.Random) -> None:
        while not history.quiet or mishaps:
            waiting = history.in_flight[name]
            events = chance.sample(waiting, min(len(waiting), chance.randint(1, 4 * BATCH)))
            history.deliver(name, events, again=chance.random() < 0.2, dies=chance.random() < 0.1)

    def meddle() -> None:
        for number in range(SAGAS // 2):
            wait_until(lambda: history.quiet or len(history.published) > 20 * number, "more has happened")  # noqa: B023
            meet(history, *mishaps[number])
        mishaps.clear()

    workers = [partial(work, name, random.Random(chance.random())) for name in (CARRITO, INVENTARIO, PAGOS) * 2]
    concurrently(*workers, meddle)
    show(history)
    check(history)

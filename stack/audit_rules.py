"""What must always hold, as far as the services' audits show it: one small function a rule.

Some rules hold in every snapshot of one service. Others compare services, whose books are read one after the other:
those hold once things are quiet, which is when no checkout is under way.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from shared.money import to_decimal
from stack.books import Books

SWEEP_SECONDS = 5  # a hold that is over goes back at once; this is for a sweeper that is just being restarted


@dataclass(frozen=True)
class Verdict:
    """Whether a rule holds, and the figures that say so."""

    holds: bool
    figures: str


Judge = Callable[[Books], Verdict]


@dataclass(frozen=True)
class Rule:
    """A rule: a function whose docstring states it."""

    topic: str
    judge: Judge
    always: bool  # also while checkouts are under way

    @property
    def name(self) -> str:
        """The function's name."""
        return self.judge.__name__

    @property
    def statement(self) -> str:
        """What must hold, in one line."""
        return (self.judge.__doc__ or "").rstrip(".")


RULES: list[Rule] = []


def in_every_snapshot(topic: str) -> Callable[[Judge], Judge]:
    """Declare a rule that one service's books show at any time."""
    return lambda judge: _added(Rule(topic, judge, always=True))


def once_quiet(topic: str) -> Callable[[Judge], Judge]:
    """Declare a rule that holds when no checkout is under way."""
    return lambda judge: _added(Rule(topic, judge, always=False))


def _added(rule: Rule) -> Judge:
    RULES.append(rule)
    return rule.judge


def unrest(books: Books) -> str | None:
    """What is going on, so that the books of different services may not agree yet; None when things are quiet."""
    before, after = books.orchestrator, books.orchestrator_after
    if live := max(before.live, after.live):
        return f"{live} sagas under way"
    if before.sagas != after.sagas:
        return "sagas began or ended while the books were read"
    if frozen := books.carrito.carts.get("checking_out", 0):
        return f"{frozen} carts being checked out, though no saga is under way"
    return None


@once_quiet("money")
def money_is_ordered(books: Books) -> Verdict:
    """Captured - refunded = total of confirmed orders."""
    kept = {currency: sums["net_minor"] for currency, sums in books.pagos.saga_payments.items()}
    ordered = books.carrito.confirmed_minor
    return Verdict(_nonzero(kept) == _nonzero(ordered), f"kept {_money(kept)}, ordered {_money(ordered)}")


@in_every_snapshot("money")
def refunds_are_within_captures(books: Books) -> Verdict:
    """0 <= refunded <= captured."""
    kinds = (books.pagos.saga_payments, books.pagos.other_payments)
    sums = [each for kind in kinds for each in kind.values()]
    holds = all(
        0 <= each["refunded_minor"] <= each["captured_minor"]
        and each["net_minor"] == each["captured_minor"] - each["refunded_minor"]
        for each in sums
    )
    captured, refunded = (
        {c: _of(kinds, c, name) for c in _all(*kinds)} for name in ("captured_minor", "refunded_minor")
    )
    return Verdict(holds, f"captured {_money(captured)}, refunded {_money(refunded)}")


@in_every_snapshot("money")
def sagas_pay_once(books: Books) -> Verdict:
    """No saga is paid twice."""
    return _none(books.pagos.overpaid_sagas, "sagas paid twice")


@in_every_snapshot("money")
def refunds_are_final(books: Books) -> Verdict:
    """What was refunded is not kept."""
    return _none(books.pagos.undone_but_paid_sagas, "sagas refunded, but paid")


@in_every_snapshot("money")
def ledger_sums_to_zero(books: Books) -> Verdict:
    """The ledger sums to zero."""
    sums = {currency: sum(accounts.values()) for currency, accounts in books.pagos.accounts.items()}
    return Verdict(not _nonzero(sums) and books.pagos.ledger_sum == 0, f"sum {_money(sums)}")


@in_every_snapshot("money")
def ledger_matches_payments(books: Books) -> Verdict:
    """The ledger earned what the payments kept."""
    kinds = (books.pagos.saga_payments, books.pagos.other_payments)
    kept = {currency: _of(kinds, currency, "net_minor") for currency in _all(*kinds)}
    earned = {currency: -accounts.get("revenue", 0) for currency, accounts in books.pagos.accounts.items()}
    broken = books.pagos.broken_payments
    figures = f"earned {_money(earned)}, kept {_money(kept)}{_listed(', payments ', broken)}"
    return Verdict(_nonzero(kept) == _nonzero(earned) and not broken, figures)


@in_every_snapshot("money")
def wallets_match_ledger(books: Books) -> Verdict:
    """Wallets hold what the ledger says."""
    wallets, broken = books.pagos.wallets, books.pagos.broken_wallets
    held, booked = ({c: sums[name] for c, sums in wallets.items()} for name in ("balance_minor", "ledger_minor"))
    figures = f"in wallets {_money(held)}, in the ledger {_money(booked)}{_listed(', ', broken)}"
    return Verdict(held == booked and not broken, figures)


@in_every_snapshot("stock")
def stock_is_conserved(books: Books) -> Verdict:
    """Available + held + sold = seeded + restocked, none negative."""
    stock = books.inventario.stock
    there = sum(stock[shelf] for shelf in ("available", "held", "sold"))
    holds = there == stock["seeded"] + stock["restocked"] and min(stock.values()) >= 0
    figures = "{available} + {held} + {sold} = {seeded} + {restocked}".format_map(stock)
    return Verdict(holds, figures)


@in_every_snapshot("stock")
def products_match_reservations(books: Books) -> Verdict:
    """Each product adds up, and matches its reservations."""
    return _none(books.inventario.broken_products, "products that don't")


@once_quiet("stock")
def sales_are_ordered(books: Books) -> Verdict:
    """What was sold is worth what was ordered."""
    sold, ordered = books.inventario.committed_minor, sum(books.carrito.confirmed_minor.values())
    return Verdict(sold == ordered, f"sold {to_decimal(sold)}, ordered {to_decimal(ordered)}")


@once_quiet("orders")
def orders_are_paid_and_committed(books: Books) -> Verdict:
    """The same sagas are completed, confirmed, paid and committed."""
    sets = {
        "completed": books.orchestrator.completed_sagas,
        "confirmed": books.carrito.confirmed_sagas,
        "paid": books.pagos.paid_sagas,
        "committed": books.inventario.committed_sagas,
    }
    same = len({(each.count, each.md5) for each in sets.values()}) == 1
    sizes = {each.count for each in sets.values()}
    note = "" if same or len(sizes) > 1 else ", but not the same ones"
    return Verdict(same, ", ".join(f"{each.count} {name}" for name, each in sets.items()) + note)


@in_every_snapshot("orders")
def orders_have_carts(books: Books) -> Verdict:
    """Each confirmed order has its cart."""
    return _none(books.carrito.confirmed_without_cart, "orders without")


@once_quiet("orders")
def no_order_is_pending(books: Books) -> Verdict:
    """None is pending when no saga is under way."""
    pending = books.carrito.orders.get("pending", 0)
    return Verdict(pending == 0, f"{pending} pending")


@in_every_snapshot("holds")
def holds_end_in_time(books: Books) -> Verdict:
    """None outlives its time."""
    overdue, oldest = books.inventario.overdue_holds, books.inventario.oldest_hold_overdue_seconds
    since = f", since {oldest} s" if overdue else ""
    return Verdict(not overdue or oldest <= SWEEP_SECONDS, f"{overdue} overdue{since}")


@once_quiet("holds")
def no_hold_is_left(books: Books) -> Verdict:
    """None is left when no saga is under way."""
    held, reservations = books.inventario.stock["held"], books.inventario.reservations.get("held", 0)
    return Verdict(held == 0 and reservations == 0, f"{reservations} reservations hold {held}")


@once_quiet("ends")
def sagas_end(books: Books) -> Verdict:
    """Every saga has ended, and no cart waits for one."""
    sagas = ", ".join(f"{count} {status}" for status, count in sorted(books.orchestrator_after.sagas.items()))
    reason = unrest(books)
    return Verdict(reason is None, f"{sagas or 'no sagas'}{f'; {reason}' if reason else ''}")


@in_every_snapshot("once")
def carts_have_one_saga(books: Books) -> Verdict:
    """No cart has two sagas under way."""
    twice = {*books.orchestrator.carts_with_two_live_sagas, *books.orchestrator_after.carts_with_two_live_sagas}
    return _none(sorted(twice), "carts with two")


def _none(broken: list[str] | list[int], what: str) -> Verdict:
    return Verdict(not broken, f"{what}: {', '.join(map(str, broken)) or 'none'}")


def _listed(before: str, names: Iterable[str]) -> str:
    listed = ", ".join(names)
    return f"{before}{listed}" if listed else ""


def _nonzero(sums: Mapping[str, int]) -> dict[str, int]:
    return {currency: minor for currency, minor in sums.items() if minor}


def _all(*kinds: Mapping[str, object]) -> list[str]:
    return sorted({currency for kind in kinds for currency in kind})


def _of(kinds: Iterable[Mapping[str, Mapping[str, int]]], currency: str, name: str) -> int:
    return sum(kind[currency][name] for kind in kinds if currency in kind)


def _money(sums: Mapping[str, int]) -> str:
    return ", ".join(f"{to_decimal(minor)} {currency}" for currency, minor in sorted(sums.items())) or "0.00"

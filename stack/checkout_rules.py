"""The rules about stock, orders, holds and sagas."""

from shared.money import to_decimal
from stack.books import Books, SagaSet
from stack.rules import Topic, Verdict, by_status, none, unrest

SWEEP_SECONDS = 5  # a hold that is over goes back at once; this is for a sweeper that is just being restarted

stock = Topic("stock")
orders = Topic("orders")
holds = Topic("holds")
ends = Topic("ends")
once = Topic("once")


@stock.in_every_snapshot
def stock_is_conserved(books: Books) -> Verdict:
    """Available + held + sold = seeded + restocked, none negative."""
    shelves = books.inventario.stock
    there = sum(shelves[shelf] for shelf in ("available", "held", "sold"))
    figures = "{available} + {held} + {sold} = {seeded} + {restocked}".format_map(shelves)
    return Verdict(there == shelves["seeded"] + shelves["restocked"] and min(shelves.values()) >= 0, figures)


@stock.in_every_snapshot
def products_match_reservations(books: Books) -> Verdict:
    """Each product adds up, and matches its reservations."""
    return none(books.inventario.broken_products, "products that don't")


@stock.once_quiet
def sales_are_ordered(books: Books) -> Verdict:
    """What was sold is worth what was ordered."""
    sold, ordered = books.inventario.committed_minor, sum(books.carrito.confirmed_minor.values())
    return Verdict(sold == ordered, f"sold {to_decimal(sold)}, ordered {to_decimal(ordered)}")


@orders.once_quiet
def orders_are_paid_and_committed(books: Books) -> Verdict:
    """The same sagas are completed (in either pattern), confirmed, paid and committed."""
    sets = {
        "completed": sum((each.completed_sagas for each in books.sagas.values()), SagaSet()),
        "confirmed": books.carrito.confirmed_sagas,
        "paid": books.pagos.paid_sagas,
        "committed": books.inventario.committed_sagas,
    }
    figures = ", ".join(f"{each.count} {name}" for name, each in sets.items())
    if len({each.count for each in sets.values()}) > 1:
        return Verdict(holds=False, figures=figures)
    same = len({each.sum for each in sets.values()}) == 1
    return Verdict(same, figures if same else f"{figures}, but not the same ones")


@orders.once_quiet
def orders_are_decided(books: Books) -> Verdict:
    """None is pending once no saga is under way."""
    pending = books.carrito.orders.get("pending", 0)
    return Verdict(pending == 0, f"{pending} pending")


@orders.in_every_snapshot
def orders_have_carts(books: Books) -> Verdict:
    """Each confirmed order has its cart."""
    return none(books.carrito.confirmed_without_cart, "orders without")


@holds.in_every_snapshot
def holds_end_in_time(books: Books) -> Verdict:
    """None outlives its time."""
    overdue, seconds = books.inventario.overdue_holds, books.inventario.oldest_hold_overdue_seconds
    return Verdict(not overdue or seconds <= SWEEP_SECONDS, f"{overdue} overdue, by {seconds} s")


@holds.once_quiet
def holds_are_decided(books: Books) -> Verdict:
    """None is left once no saga is under way."""
    held, by = books.inventario.stock["held"], books.inventario.reservations.get("held", 0)
    return Verdict(held == 0 and by == 0, f"{held} held, by {by} reservations")


@ends.once_quiet
def sagas_end(books: Books) -> Verdict:
    """Every saga has ended, and no cart waits for one."""
    sagas = ", ".join(f"{count} {status}" for status, count in sorted(by_status(books.sagas_after).items()))
    reason = unrest(books)
    return Verdict(reason is None, f"{sagas or 'no sagas'}{f'; {reason}' if reason else ''}")


@ends.once_quiet
def events_are_published(books: Books) -> Verdict:
    """No event waits to be published."""
    waiting = {
        "carrito": books.carrito.outbox,
        "inventario": books.inventario.outbox,
        "pagos": books.pagos.outbox,
        **{service: each.outbox for service, each in books.sagas_after.items()},
    }
    return none((f"{count} of {service}" for service, count in waiting.items() if count), "waiting")


@once.in_every_snapshot
def carts_have_one_saga(books: Books) -> Verdict:
    """No cart has two sagas under way."""
    reads = (*books.sagas.values(), *books.sagas_after.values())
    return none(sorted({cart for each in reads for cart in each.carts_with_two_live_sagas}), "carts with two")

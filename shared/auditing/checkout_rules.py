"""The rules about stock, orders, holds and sagas, as the services' books show them."""

from dataclasses import replace

from shared.auditing.books import Books
from shared.auditing.rules import Topic, Verdict, none

SWEEP_SECONDS = 5  # expired holds are released at once; this allows for a sweeper that is being restarted
PUBLISH_SECONDS = 10  # events are published within milliseconds; this allows for a broker that is being restarted

stock = Topic("stock")
holds = Topic("holds")
ends = Topic("ends")
once = Topic("once")


@stock.of_books
def stock_is_conserved(books: Books) -> Verdict:
    """Available + held + sold = seeded + restocked, none negative."""
    shelves = books.inventario.stock
    there = sum(shelves[shelf] for shelf in ("available", "held", "sold"))
    figures = (
        "{available:,} available + {held:,} held + {sold:,} sold = {seeded:,} seeded + {restocked:,} restocked"
    ).format_map(shelves)
    return Verdict(there == shelves["seeded"] + shelves["restocked"] and min(shelves.values()) >= 0, figures)


@stock.of_books
def products_match_reservations(books: Books) -> Verdict:
    """Each product adds up, and matches its reservations."""
    return none(books.inventario.broken_products, "products that don't")


@holds.of_books
def holds_end_in_time(books: Books) -> Verdict:
    """None outlives its time."""
    overdue, seconds = books.inventario.overdue_holds, books.inventario.oldest_hold_overdue_seconds
    figures = f"{overdue:,} overdue, by {seconds} s" if overdue else "none overdue"
    return Verdict(not overdue or seconds <= SWEEP_SECONDS, figures)


@ends.of_books
def events_are_published(books: Books) -> Verdict:
    """No event waits long to be published."""
    audits = {"carrito": books.carrito, "inventario": books.inventario, "pagos": books.pagos, **books.sagas}
    late = {service: each for service, each in audits.items() if each.oldest_unpublished_seconds > PUBLISH_SECONDS}
    return none(
        (f"{each.outbox} of {service}, for {each.oldest_unpublished_seconds} s" for service, each in late.items()),
        "waiting",
    )


@once.of_books
def carts_have_one_saga(books: Books) -> Verdict:
    """No cart has two sagas under way."""
    carts = sorted({cart for each in books.sagas.values() for cart in each.carts_with_two_live_sagas})
    return replace(none(carts, "carts with two"), ids=tuple(carts))

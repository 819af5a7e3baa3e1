"""The rules about each saga that has ended.

A saga that no saga service knows was made of single requests, or has been purged there. What it paid, ordered and sold
must still agree.
"""

from shared.auditing.facts import AuditedSaga
from shared.auditing.rules import Topic

money = Topic("money")
orders = Topic("orders")
stock = Topic("stock")
holds = Topic("holds")
ends = Topic("ends")
once = Topic("once")


@money.of_each_saga
def money_is_ordered(saga: AuditedSaga) -> bool:
    """Captured - refunded = total of the confirmed order."""
    order, payment = saga.ordered, saga.payment
    if order is None or payment is None:
        return saga.kept_minor == 0 and order is None
    return saga.kept_minor == order.total_minor and payment.currency == order.currency


@stock.of_each_saga
def sales_are_ordered(saga: AuditedSaga) -> bool:
    """Sold = ordered, line by line: product, quantity, unit price."""
    sold = saga.sold.lines if saga.sold else None
    return (sold or ()) == ((saga.ordered.lines or ()) if saga.ordered else ())


@orders.of_each_saga
def orders_add_up(saga: AuditedSaga) -> bool:
    """An order's total is that of its lines."""
    if saga.order is None or saga.order.status is None:
        return True
    return saga.order.total_minor == sum(line.quantity * line.unit_price_minor for line in saga.order.lines or ())


@orders.of_each_saga
def orders_are_as_frozen(saga: AuditedSaga) -> bool:
    """An order has the lines and the total that were frozen when its checkout began."""
    return saga.order is None or saga.order.as_frozen is not False


@orders.of_each_saga
def orders_are_paid_and_committed(saga: AuditedSaga) -> bool:
    """What is completed is confirmed, paid and sold; what is compensated is none of it."""
    paid = saga.payment is not None and saga.payment.captured > 0
    done = [saga.ordered is not None, paid, saga.sold is not None]
    return all(done) if saga.status == "completed" else not any(done) if saga.status == "compensated" else True


@orders.of_each_saga
def orders_are_decided(saga: AuditedSaga) -> bool:
    """None is pending once its saga has ended."""
    return saga.order is None or saga.order.status != "pending"


@orders.of_each_saga
def orders_have_carts(saga: AuditedSaga) -> bool:
    """Each confirmed order has its cart, checked out; no other saga that has ended keeps a cart."""
    cart = saga.order.cart if saga.order else None
    return cart == ("checked_out" if saga.ordered else None)


@holds.of_each_saga
def holds_are_decided(saga: AuditedSaga) -> bool:
    """None is left once its saga has ended."""
    return saga.sale is None or saga.sale.status != "held"


@ends.of_each_saga
def sagas_end(saga: AuditedSaga) -> bool:
    """Every saga ends; none is stuck."""
    return saga.unchecked is None  # the sagas that have not ended are the one thing that this rule is about


@money.of_each_saga
def sagas_pay_once(saga: AuditedSaga) -> bool:
    """No saga is paid twice."""
    return saga.payment is None or saga.payment.payments <= 1


@money.of_each_saga
def refunds_are_final(saga: AuditedSaga) -> bool:
    """What was refunded is not kept."""
    return saga.payment is None or not (saga.payment.undone and saga.payment.captured)


@once.of_each_saga
def sagas_have_one_style(saga: AuditedSaga) -> bool:
    """No saga is run in both styles."""
    return len(saga.statuses) <= 1

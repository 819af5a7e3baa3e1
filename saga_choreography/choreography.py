"""The definition of the choreographed checkout: event -> who reacts -> which events follow, on success and on failure.

Nothing executes it: each service's `event_handlers.py` implements its part, and a test checks that both agree.
"""

from saga_choreography.definition import Choreography, Reaction, StepEvents
from shared.event_bus import (
    CARRITO,
    INVENTARIO,
    PAGOS,
    CheckoutCancelRequested,
    CheckoutCompleted,
    CheckoutFailed,
    CheckoutInitiated,
    InventoryCommitFailed,
    InventoryCommitRequested,
    InventoryCommitted,
    InventoryReleased,
    InventoryReserved,
    InventoryReserveFailed,
    InventoryReserveRequested,
    OrderCancelled,
    OrderCreated,
    OrderCreateFailed,
    OrderCreateRequested,
    PaymentFailed,
    PaymentProcessed,
    PaymentRefunded,
    PaymentRequested,
    SagaResendRequested,
)

CHECKOUT = Choreography(
    "checkout",
    # carrito publishes the first one when it freezes a cart; saga_choreography publishes the others: for a deadline or
    # an operator, and when a saga was silent for long.
    beginnings=(CheckoutInitiated, CheckoutCancelRequested, SagaResendRequested),
    reactions=(
        # forward
        Reaction(
            CheckoutInitiated,
            INVENTARIO,
            then=(InventoryReserveRequested, InventoryReserved),
            otherwise=(InventoryReserveRequested, InventoryReserveFailed),
        ),
        Reaction(
            InventoryReserved,
            PAGOS,
            then=(PaymentRequested, PaymentProcessed),
            otherwise=(PaymentRequested, PaymentFailed),
        ),
        Reaction(
            PaymentProcessed,
            CARRITO,
            then=(OrderCreateRequested, OrderCreated),
            otherwise=(OrderCreateRequested, OrderCreateFailed),
        ),
        Reaction(
            OrderCreated,
            INVENTARIO,
            then=(InventoryCommitRequested, InventoryCommitted),  # the pivot
            otherwise=(InventoryCommitRequested, InventoryCommitFailed),
        ),
        Reaction(InventoryCommitted, CARRITO, then=(CheckoutCompleted,), otherwise=(OrderCancelled,)),
        # backward, in reverse step order: the event of each compensation makes the service of the step before
        # compensate; a step that never ran is refused from then on
        # The arbiter turns the saga back; `otherwise` is for a saga that has reserved nothing.
        Reaction(
            CheckoutCancelRequested, INVENTARIO, then=(InventoryCommitFailed,), otherwise=(InventoryReserveFailed,)
        ),
        Reaction(InventoryReserveFailed, CARRITO, then=(OrderCancelled,)),
        Reaction(InventoryCommitFailed, CARRITO, then=(OrderCancelled,)),
        Reaction(OrderCreateFailed, PAGOS, then=(PaymentRefunded,)),
        Reaction(OrderCancelled, PAGOS, then=(PaymentRefunded,)),
        Reaction(PaymentFailed, INVENTARIO, then=(InventoryReleased,)),
        Reaction(PaymentRefunded, INVENTARIO, then=(InventoryReleased,)),
        Reaction(InventoryReleased, CARRITO, then=(CheckoutFailed,)),
        # services publish earlier events again; no new event follows
        *(Reaction(SagaResendRequested, service, then=()) for service in (CARRITO, INVENTARIO, PAGOS)),
    ),
    steps=(
        StepEvents(
            "reserve_inventory",
            begins=InventoryReserveRequested,
            ends=InventoryReserved,
            fails=InventoryReserveFailed,
            undone=InventoryReleased,
        ),
        StepEvents(
            "process_payment",
            begins=PaymentRequested,
            ends=PaymentProcessed,
            fails=PaymentFailed,
            undone=PaymentRefunded,
        ),
        StepEvents(
            "create_order",
            begins=OrderCreateRequested,
            ends=OrderCreated,
            fails=OrderCreateFailed,
            undone=OrderCancelled,
        ),
        StepEvents(
            "commit_inventory",
            begins=InventoryCommitRequested,
            ends=InventoryCommitted,
            fails=InventoryCommitFailed,
            undone=InventoryCommitFailed,  # when a sale was compensated
        ),
    ),
)

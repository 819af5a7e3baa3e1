"""Reads about one saga or order, or about two sagas that are compared."""

from collections.abc import Mapping

from dashboard.outcome import Reading
from dashboard.receipt import Receipt, receipt_of
from dashboard.service_client import Failure, Json, Refused, ServiceClient, answered, items_of, known
from dashboard.styles import STYLES, Style


class SagaReading(ServiceClient):
    """Reads sagas with their timelines and outcomes, and receipts."""

    def saga(self, style: Style, saga_id: str) -> tuple[Json, list[Json], Reading] | None:
        """Return a saga, the items of its timeline, and its outcome; None when there is none. Raises `Unreachable`."""
        until = self._deadline()
        [told] = self._stories((style, saga_id), until=until)
        return None if told is None else (*told, self._outcome(told[0]["cart_id"], until))

    def saga_alone(self, style: Style, saga_id: str) -> Json | None:
        """Return a saga without its timeline; None when there is none. Raises `Unreachable`."""
        return self._needed(style.service, f"{style.base}/{saga_id}")

    def stories(self, ids: Mapping[str, str]) -> list[tuple[Json, list[Json]] | None]:
        """Return by style the saga with this id and its timeline's items; None when there is none.

        Raises `Unreachable`, or `Refused`.
        """
        return self._stories(*((STYLES[style], saga_id) for style, saga_id in ids.items()))

    def _stories(self, *wanted: tuple[Style, str], until: float | None = None) -> list[tuple[Json, list[Json]] | None]:
        """Return sagas, each with the items of its timeline; None for one that does not exist. Raises `Unreachable`."""
        paths = [(style.service, f"{style.base}/{saga_id}") for style, saga_id in wanted]
        reads = [self._read(service, path + end) for service, path in paths for end in ("", "/timeline")]
        found = self._all(*reads, until=until)
        pairs = zip(found[::2], found[1::2], strict=True)
        return [
            None if saga is None or timeline is None else (saga, list(timeline["items"])) for saga, timeline in pairs
        ]

    def _outcome(self, cart_id: str, until: float) -> Reading:
        found = self._tried(
            self._read("carrito", f"/orders/saga/{cart_id}"),
            self._read("pagos", f"/api/v1/payments/saga/{cart_id}"),
            self._read("inventario", f"/api/products/reservations/{cart_id}"),
            self._read("carrito", f"/carts/{cart_id}"),
            until=until,
        )
        orders, payments, reservations, cart = map(known, found)
        return Reading(items_of(orders), items_of(payments), items_of(reservations), cart)

    def receipt(self, order_id: str) -> Receipt | None:
        """Return the receipt of an order; None when there is none. Raises `Unreachable`, or `Refused`."""
        until = self._deadline()
        [order] = self._all(self._read("carrito", f"/orders/{order_id}"), until=until)
        if order is None:
            return None
        saga_id = str(order["saga_id"])
        reads = [
            self._read("pagos", f"/api/v1/ledger/sagas/{saga_id}"),
            self._read("inventario", f"/api/products/movements/{saga_id}"),
            *(self._read(style.service, f"{style.base}/{saga_id}") for style in STYLES.values()),
        ]
        told, moves, *sagas = self._tried(*reads, until=until)
        ledger, movements = answered(told), answered(moves)
        if ledger is None or movements is None:
            raise Refused(404, "pagos or inventario is of a version that does not tell what receipts need")
        saga = next((each for each in map(known, sagas) if each is not None), None)
        is_known = saga is not None or not any(isinstance(each, Failure) for each in sagas)
        return receipt_of(order, ledger["items"], movements["items"], saga, is_known=is_known)

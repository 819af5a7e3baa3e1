"""An open loop: checkouts arrive at a steady rate, however long earlier ones take; rejected ones are sent again."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import PriorityQueue

from bench.checkouts import Checkout
from bench.client import Client, UnexpectedAnswer
from stack.demo.shop import Style

AGAIN_SECONDS = 0.25  # until a rejected request is sent again
NOT_NOW = (503, 504)  # nothing was done, or that is unknown; the request may be repeated under its key
STILL_RUNNING = "/problems/key-in-use"  # the problem of a repeated request whose first one still runs


class Arrivals:
    """Checkouts that arrive at a steady rate; `arrived` is when each saga was first requested, as of `time.time`."""

    def __init__(self, checkouts: Sequence[Checkout], style: Style, per_second: float) -> None:
        self.began = time.time()
        self.arrived: dict[str, float] = {}
        self.turned_away = 0  # how many requests were answered "not now"
        self._checkouts, self._style = checkouts, style
        self._first = [self.began + number / per_second for number in range(len(checkouts))]
        self._due: PriorityQueue[tuple[float, int]] = PriorityQueue()
        for number, due in enumerate(self._first):
            self._due.put((due, number))

    def serve(self, clients: Sequence[Client]) -> None:
        """Send all requests; returns when the last was accepted. Raises the error of a checkout that fails."""
        for _ in clients:
            self._due.put((float("inf"), -1))  # ends a client: it comes after all requests, repeated ones too
        with ThreadPoolExecutor(len(clients)) as threads:
            for each in [threads.submit(self._work, client) for client in clients]:
                each.result()

    def _work(self, client: Client) -> None:
        while True:
            due, number = self._due.get()
            if number < 0:
                return
            time.sleep(max(0.0, due - time.time()))
            if not self._send(client, number):
                self._due.put((time.time() + AGAIN_SECONDS, number))

    def _send(self, client: Client, number: int) -> bool:
        """Send one request; return whether it was accepted."""
        checkout = self._checkouts[number]
        body = {"cart_id": checkout.cart_id, "user_id": checkout.user_id, "payment_method": checkout.payment_method}
        reply = client.post(
            self._style.service,
            f"{self._style.path}/checkout",
            {**body, "billing_address": checkout.billing_address},
            *(200, 202, 409, *NOT_NOW),
            headers={"Idempotency-Key": f'"{checkout.saga_id}"'},
        )
        if reply.status in NOT_NOW or (reply.status == 409 and reply.body["type"] == STILL_RUNNING):
            self.turned_away += 1
            return False
        if reply.status == 409:
            raise UnexpectedAnswer(f"cart {checkout.cart_id} was answered {reply.body}")
        self.arrived[reply.body["saga_id"]] = self._first[number]
        return True

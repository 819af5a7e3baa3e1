"""An open loop: checkouts come at a steady rate, whatever became of those before; who is turned away comes again."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import PriorityQueue

from bench.client import Client, UnexpectedAnswer
from bench.wishes import Wish
from stack.demo.shop import Pattern

AGAIN_SECONDS = 0.25  # after which a shopper who was turned away tries again
NOT_NOW = (503, 504)  # nothing was done, or it is not known; under its key it may be asked for again
STILL_ASKED = "/problems/key-in-use"  # what a 409 says of a request whose answer was given up


class Arrivals:
    """The wishes' checkouts, so many a second; `asked` is when each saga's shopper first came, as of `time.time`."""

    def __init__(self, wishes: Sequence[Wish], pattern: Pattern, per_second: float) -> None:
        self.began = time.time()
        self.asked: dict[str, float] = {}
        self.turned_away = 0  # how often somebody was
        self._wishes, self._pattern = wishes, pattern
        self._first = [self.began + number / per_second for number in range(len(wishes))]
        self._due: PriorityQueue[tuple[float, int]] = PriorityQueue()
        for number, due in enumerate(self._first):
            self._due.put((due, number))

    def serve(self, clients: Sequence[Client]) -> None:
        """Bring all of them in; returns when the last was accepted. What else goes wrong with one is raised."""
        for _ in clients:
            self._due.put((float("inf"), -1))  # behind all others, also behind those that come again
        with ThreadPoolExecutor(len(clients)) as threads:
            for each in [threads.submit(self._work, client) for client in clients]:
                each.result()

    def _work(self, client: Client) -> None:
        while True:
            due, number = self._due.get()
            if number < 0:
                return
            time.sleep(max(0.0, due - time.time()))
            if not self._ask(client, number):
                self._due.put((time.time() + AGAIN_SECONDS, number))

    def _ask(self, client: Client, number: int) -> bool:
        """Whether it was accepted."""
        wish = self._wishes[number]
        body = {"cart_id": wish.cart_id, "user_id": wish.user_id, "payment_method": wish.payment_method}
        reply = client.post(
            self._pattern.service,
            f"{self._pattern.path}/checkout",
            {**body, "billing_address": wish.billing_address},
            *(200, 202, 409, *NOT_NOW),
            headers={"Idempotency-Key": f'"{wish.saga_id}"'},
        )
        if reply.status in NOT_NOW or (reply.status == 409 and reply.body["type"] == STILL_ASKED):
            self.turned_away += 1
            return False
        if reply.status == 409:
            raise UnexpectedAnswer(f"cart {wish.cart_id} was answered {reply.body}")
        self.asked[reply.body["saga_id"]] = self._first[number]
        return True

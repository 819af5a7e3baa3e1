"""Group commit for concurrent callers: calls that arrive while one batch is processed form the next batch."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from shared.batching.arrivals import ArrivalEstimate
from shared.batching.policy import BatchPolicy
from shared.database.connections import is_unavailable
from shared.errors import DomainError

# For HTTP requests: the wait is about as long as the first steps of a checkout take (docs/decisions/0008).
REQUESTS = BatchPolicy(max_wait=0.03)
T = TypeVar("T")
R = TypeVar("R")


@dataclass(eq=False)
class _Call(Generic[T, R]):
    item: T
    results: Sequence[R] = ()
    error: Exception | None = None

    @property
    def is_done(self) -> bool:
        return bool(self.results) or self.error is not None


class Coalescer(Generic[T, R]):
    """Turns a function of many items into a function of one item. The callers' threads do the work.

    The first caller processes its own item at once. Callers that arrive meanwhile wait, and one of them processes all
    that wait by then, as one batch. When the latest batches were large, that caller first waits up to `policy.max_wait`
    seconds for as many callers again.
    """

    def __init__(
        self, work: Callable[[Sequence[T]], Sequence[R | DomainError]], policy: BatchPolicy = REQUESTS
    ) -> None:
        """`work` returns a result or a domain error for each item, in order.

        When it raises, each item of the batch is tried alone, unless the database is unavailable.
        """
        self._work = work
        self._policy = policy
        self._arrivals = ArrivalEstimate()
        self._waiting: list[_Call[T, R]] = []
        self._arrived = threading.Condition()
        self._turn = threading.Lock()

    def __call__(self, item: T) -> R:
        """Return the item's result; raise the error that `work` returned or raised for it."""
        call: _Call[T, R] = _Call(item)
        with self._arrived:
            self._waiting.append(call)
            self._arrived.notify()
        with self._turn:
            while not call.is_done:
                self._process(self._next_batch())
        if call.error is not None:
            raise call.error
        return call.results[0]

    def _next_batch(self) -> list[_Call[T, R]]:
        with self._arrived:
            self._arrived.wait_for(
                lambda: self._policy.is_full(len(self._waiting), self._arrivals.expected), self._policy.max_wait
            )
            self._arrivals.observe(len(self._waiting))
            batch = self._waiting[: self._policy.max_size]
            del self._waiting[: len(batch)]
            return batch

    def _process(self, batch: Sequence[_Call[T, R]]) -> None:
        if not self._try(batch):
            for call in batch:
                self._try([call])

    def _try(self, batch: Sequence[_Call[T, R]]) -> bool:
        """Process these calls; return False when the batch failed and its calls are to be tried one by one."""
        try:
            results = self._work([call.item for call in batch])
        except Exception as error:
            if len(batch) > 1 and not is_unavailable(error):
                return False
            for call in batch:
                call.error = error
        else:
            for call, result in zip(batch, results, strict=True):
                if isinstance(result, DomainError):
                    call.error = result
                else:
                    call.results = (result,)
        return True

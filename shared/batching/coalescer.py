"""Calls of many threads that come while one is under way are answered by the next one, all at once."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from shared.batching.arrivals import Crowd
from shared.database.connections import is_unavailable
from shared.errors import DomainError

GATHER_SECONDS = 0.03  # about what a checkout's first steps take: see docs/decisions/0008
T = TypeVar("T")
R = TypeVar("R")


@dataclass(eq=False)
class _Asked(Generic[T, R]):
    item: T
    results: Sequence[R] = ()
    error: Exception | None = None

    @property
    def answered(self) -> bool:
        return bool(self.results) or self.error is not None


class Together(Generic[T, R]):
    """A function of one item, made of one that takes many: whoever comes first does the work of all who wait.

    As a database commits its transactions in groups: the more there is to do, the less each costs, and who comes
    alone does not wait. Where many came together lately, the first of the next ones waits a moment for as many.
    """

    def __init__(
        self, work: Callable[[Sequence[T]], Sequence[R | DomainError]], gather_seconds: float = GATHER_SECONDS
    ) -> None:
        """`work` returns a result or a domain error for each item; no moment is longer than `gather_seconds`.

        When it raises, each item is tried on its own, unless the database is away.
        """
        self._work = work
        self._gather_seconds = gather_seconds
        self._crowd = Crowd()
        self._waiting: list[_Asked[T, R]] = []
        self._lock = threading.Condition()
        self._turn = threading.Lock()

    def __call__(self, item: T) -> R:
        """The item's result; raises what `work` returns or raises as its error."""
        asked: _Asked[T, R] = _Asked(item)
        with self._lock:
            self._waiting.append(asked)
            self._lock.notify()
        with self._turn:
            if not asked.answered:
                self._answer_all()
        if asked.error is not None:
            raise asked.error
        return asked.results[0]

    def _answer_all(self) -> None:
        with self._lock:
            self._lock.wait_for(lambda: len(self._waiting) >= self._crowd.expected, self._gather_seconds)
            waiting, self._waiting = self._waiting, []
            self._crowd.came(len(waiting))
        if not self._answer(waiting):
            for asked in waiting:
                self._answer([asked])

    def _answer(self, waiting: Sequence[_Asked[T, R]]) -> bool:
        """Whether each has its result, or its error."""
        try:
            results = self._work([asked.item for asked in waiting])
        except Exception as error:
            if len(waiting) > 1 and not is_unavailable(error):
                return False
            for asked in waiting:
                asked.error = error
        else:
            for asked, result in zip(waiting, results, strict=True):
                if isinstance(result, DomainError):
                    asked.error = result
                else:
                    asked.results = (result,)
        return True

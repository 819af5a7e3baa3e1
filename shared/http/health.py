"""Health checks of a service's dependencies for `/health`. Everybody may call it, so its cost is bounded."""

from collections.abc import Callable
from functools import partial

from shared.batching.shared_result import SharedResult

Check = Callable[[], None]  # raises when the dependency is missing
FRESH_SECONDS = 1.0  # callers need no fresher result; a check of a frozen server takes twice as long


class SharedCheck(SharedResult[str]):
    """One check whose result concurrent callers share: "ok", or the first line of the error."""

    def __init__(self, check: Check, fresh_seconds: float = FRESH_SECONDS) -> None:
        super().__init__(partial(_state_of, check), fresh_seconds)


def _state_of(check: Check) -> str:
    try:
        check()
    except Exception as error:  # noqa: BLE001, RUF100  (any error is the answer)
        return (str(error).strip() or type(error).__name__).splitlines()[0]
    return "ok"

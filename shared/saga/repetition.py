"""Whether a request for a saga says the same as the saga's first one. Whoever says otherwise is refused."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

from shared.errors import Conflict

T = TypeVar("T")
NamedFields = Mapping[Any, Any]  # the fields that a request names; None for one that it does not name


class RepeatedOtherwise(Conflict):
    """The request differs from the saga's first one."""


def contradiction(saga_id: UUID, what: str, first: NamedFields, repeated: NamedFields) -> RepeatedOtherwise | None:
    """The refusal, naming the field, unless each field that both requests name has the same value in both."""
    for name, value in repeated.items():
        if None not in (value, first.get(name)) and first[name] != value:
            detail = f"{what} of saga {saga_id} was requested with another {name.removesuffix('_minor')}"
            return RepeatedOtherwise(detail, saga_id=saga_id, field=name.removesuffix("_minor"))
    return None


def agreed(outcomes: Sequence[T]) -> Sequence[T]:
    """The outcomes of what events ask for; raises the first contradiction, so that its event is parked for people."""
    for outcome in outcomes:
        if isinstance(outcome, RepeatedOtherwise):
            raise outcome
    return outcomes

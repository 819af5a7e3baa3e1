"""Compares a repeated request for a saga with the saga's first one. A request that differs is refused."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

from shared.errors import Conflict

T = TypeVar("T")
NamedFields = Mapping[Any, Any]  # the fields that a request names; None for one that it does not name


class RepeatedOtherwise(Conflict):
    """The request differs from the saga's first one."""


def contradiction(saga_id: UUID, what: str, first: NamedFields, repeated: NamedFields) -> RepeatedOtherwise | None:
    """Return the refusal, which names the field, if a field that both requests name has different values; else None."""
    for name, value in repeated.items():
        if None not in (value, first.get(name)) and first[name] != value:
            detail = f"{what} of saga {saga_id} was requested with another {name.removesuffix('_minor')}"
            return RepeatedOtherwise(detail, saga_id=saga_id, field=name.removesuffix("_minor"))
    return None


def agreed(outcomes: Sequence[T]) -> Sequence[T]:
    """Return the outcomes of events. Raise the first contradiction, so that its event becomes a dead letter."""
    for outcome in outcomes:
        if isinstance(outcome, RepeatedOtherwise):
            raise outcome
    return outcomes

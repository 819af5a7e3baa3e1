"""What a saga is made of, in each of its versions; a definition is checked when it is built."""

import string
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Generic, TypeVar
from uuid import UUID

Data = TypeVar("Data")


class InvalidSaga(ValueError):
    """The definition could not keep its promises."""


@dataclass(frozen=True)
class SagaInstance(Generic[Data]):
    """One saga, as its requests are made from it.

    `ids` has an id for each step that names one, chosen before the step's first request, so that a step in doubt can be
    compensated. `fault` names what the saga is to suffer on purpose.
    """

    saga_id: UUID
    data: Data
    ids: Mapping[str, UUID]
    fault: str | None = None


@dataclass(frozen=True)
class Service:
    """A participant. `<NAME>_SERVICE_URL` is where it is reached; without that setting, `default_url`."""

    name: str
    default_url: str


@dataclass(frozen=True)
class Request:
    """An HTTP request to a service."""

    service: str
    method: str
    path: str
    body: Mapping[str, Any] | None
    fault: str | None = None


@dataclass(frozen=True)
class Endpoint(Generic[Data]):
    """An endpoint of a participant, and the body that a saga sends there.

    The path may name ids of steps and fields of the saga's data: `/orders/{order_id}/cancel`.
    """

    service: Service
    method: str
    path: str
    body: Callable[[SagaInstance[Data]], Mapping[str, Any]]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @cached_property
    def names(self) -> frozenset[str]:
        """The names in the path."""
        return frozenset(name for _, name, _, _ in string.Formatter().parse(self.path) if name is not None)

    def request(self, saga: SagaInstance[Data]) -> Request:
        """The request for this saga; it is the same at every attempt."""
        path = self.path.format_map({**vars(saga.data), **saga.ids}) if self.names else self.path
        return Request(self.service.name, self.method, path, self.body(saga), saga.fault)


def post(service: Service, path: str, body: Callable[[SagaInstance[Data]], Mapping[str, Any]]) -> Endpoint[Data]:
    """A POST to a service."""
    return Endpoint(service, "POST", path, body)


@dataclass(frozen=True)
class Step(Generic[Data]):
    """A participant's local transaction beside its compensation; `id` names the id that the step's object gets."""

    name: str
    action: Endpoint[Data]
    compensation: Endpoint[Data] | None = None
    id: str | None = None

    @property
    def endpoints(self) -> Iterator[Endpoint[Data]]:
        """The endpoint of its action and, if it has one, that of its compensation."""
        yield self.action
        if self.compensation is not None:
            yield self.compensation


@dataclass(frozen=True)
class SagaDefinition(Generic[Data]):
    """Compensatable steps, one pivot that decides, retryable steps after it; `data` is the dataclass it is about.

    A definition that differs in anything has another `version`.

    The classes of steps are those of Garcia-Molina and Salem (1987) as Richardson uses them ("Microservices
    Patterns", 4.3). `closing` is the last thing that a compensated saga does; it is no step that people see.
    """

    name: str
    data: type[Data]
    compensatable: tuple[Step[Data], ...]
    pivot: Step[Data] | None
    retryable: tuple[Step[Data], ...]
    closing: Step[Data]
    version: int = 1
    _by_name: dict[str, Step[Data]] = field(init=False, default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        for step in self.all_steps:
            if step.name in self._by_name:
                raise InvalidSaga(f"{self.name}: two steps are called {step.name}")
            self._by_name[step.name] = step
        for step in self.compensatable:
            if step.compensation is None:
                raise InvalidSaga(f"{self.name}: {step.name} comes before the pivot and has no compensation")
        if self.retryable and self.pivot is None:
            raise InvalidSaga(f"{self.name}: retryable steps follow a pivot, and there is none")
        if self.closing.compensation is not None:
            raise InvalidSaga(f"{self.name}: the closing step is never compensated")
        self._check_paths()

    def _check_paths(self) -> None:
        known = {*self.ids, *(each.name for each in fields(self.data))}  # type: ignore[arg-type]  # a dataclass
        for endpoint in self.endpoints:
            if unknown := endpoint.names - known:
                raise InvalidSaga(f"{self.name}: {endpoint} names {', '.join(unknown)}: no step's id, nor in its data")

    @property
    def shown_steps(self) -> tuple[Step[Data], ...]:
        """The steps that the API shows, in order: the compensatable ones and the pivot."""
        return (*self.compensatable, *((self.pivot,) if self.pivot else ()))

    @property
    def all_steps(self) -> Iterator[Step[Data]]:
        """All steps in order, the retryable ones and the closing included."""
        return iter((*self.shown_steps, *self.retryable, self.closing))

    @property
    def endpoints(self) -> Iterator[Endpoint[Data]]:
        """The endpoints of all steps."""
        return (endpoint for step in self.all_steps for endpoint in step.endpoints)

    @property
    def services(self) -> tuple[Service, ...]:
        """The participants, in the order of their first step."""
        return tuple(dict.fromkeys(endpoint.service for endpoint in self.endpoints))

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids that are chosen for each saga, by name."""
        return tuple(step.id for step in self.all_steps if step.id is not None)

    def __getitem__(self, name: str) -> Step[Data]:
        return self._by_name[name]

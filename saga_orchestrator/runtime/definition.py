"""A saga's definition: its steps and their requests. It is checked when it is built."""

import string
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Generic, TypeVar
from uuid import UUID

Data = TypeVar("Data")


class InvalidSaga(ValueError):
    """The definition breaks a rule of sagas."""


@dataclass(frozen=True)
class SagaInstance(Generic[Data]):
    """One saga; the bodies and paths of its requests are made from it.

    `ids` has the id of each step that names one. It is chosen before the step's first request, so that a step in doubt
    can be compensated. `fault` names the faults to inject, `trace` is the `traceparent` (W3C) under which it began.
    """

    saga_id: UUID
    data: Data
    ids: Mapping[str, UUID]
    fault: str | None = None
    trace: str | None = None


@dataclass(frozen=True)
class Service:
    """A participant. The setting `<NAME>_SERVICE_URL` is its URL; without it, `default_url`."""

    name: str
    default_url: str


@dataclass(frozen=True)
class Request:
    """An HTTP request to a service for a saga; `trace` is the `traceparent` that it brings, if it is traced."""

    service: str
    method: str
    path: str
    body: Mapping[str, Any] | None
    saga_id: UUID
    fault: str | None = None
    trace: str | None = None


@dataclass(frozen=True)
class Endpoint(Generic[Data]):
    """An endpoint of a participant, and the body that a saga sends to it. A success names the saga: `{saga_id, …}`.

    The path may contain ids of steps and fields of the saga's data: `/orders/{order_id}/cancel`.
    """

    service: Service
    method: str
    path: str
    body: Callable[[SagaInstance[Data]], Mapping[str, Any]]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @cached_property
    def names(self) -> frozenset[str]:
        """The names in braces in the path."""
        return frozenset(name for _, name, _, _ in string.Formatter().parse(self.path) if name is not None)

    def request(self, saga: SagaInstance[Data]) -> Request:
        """Return the request for this saga; it is the same at every attempt."""
        path = self.path.format_map({**vars(saga.data), **saga.ids}) if self.names else self.path
        return Request(self.service.name, self.method, path, self.body(saga), saga.saga_id, saga.fault)


def post(service: Service, path: str, body: Callable[[SagaInstance[Data]], Mapping[str, Any]]) -> Endpoint[Data]:
    """Define a POST to a service."""
    return Endpoint(service, "POST", path, body)


@dataclass(frozen=True)
class Step(Generic[Data]):
    """A participant's local transaction and its compensation; `id` names the id of the object that the step creates."""

    name: str
    action: Endpoint[Data]
    compensation: Endpoint[Data] | None = None
    id: str | None = None

    @property
    def endpoints(self) -> Iterator[Endpoint[Data]]:
        """Yield the endpoint of its action and, if it has one, of its compensation."""
        yield self.action
        if self.compensation is not None:
            yield self.compensation


@dataclass(frozen=True)
class SagaDefinition(Generic[Data]):
    """Compensatable steps, one pivot, and retryable steps after it; `data` is the dataclass of what the saga is about.

    A definition that differs in anything has another `version`.

    The kinds of steps are those of Garcia-Molina and Salem (1987) as Richardson uses them ("Microservices Patterns",
    4.3). `closing` is the last command of a compensated saga; it is not shown as a step.
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
        """Yield all steps in order, with the retryable ones and the closing one."""
        return iter((*self.shown_steps, *self.retryable, self.closing))

    @property
    def endpoints(self) -> Iterator[Endpoint[Data]]:
        """Yield the endpoints of all steps."""
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

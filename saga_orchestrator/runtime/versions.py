"""The versions of a definition that a process runs."""

from collections.abc import Iterator
from typing import Generic

from saga_orchestrator.runtime.definition import Data, InvalidSaga, SagaDefinition, Service
from shared.errors import Unavailable


class UnknownVersion(Unavailable):
    """This process does not run the version of the definition that the saga began with."""


class Versions(Generic[Data]):
    """The versions of one saga that this process runs; each saga keeps the version with which it began.

    An earlier version is needed for as long as its sagas are kept, since completed ones can be compensated.
    """

    def __init__(self, current: SagaDefinition[Data], *earlier: SagaDefinition[Data]) -> None:
        self.current = current
        self._by_number: dict[int, SagaDefinition[Data]] = {}
        for definition in (current, *earlier):
            if definition.version in self._by_number:
                raise InvalidSaga(f"{current.name}: two versions are {definition.version}")
            self._by_number[definition.version] = definition

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of the versions."""
        return tuple(self._by_number)

    @property
    def services(self) -> tuple[Service, ...]:
        """The participants of all versions."""
        return tuple(dict.fromkeys(service for definition in self for service in definition.services))

    def __iter__(self) -> Iterator[SagaDefinition[Data]]:
        return iter(self._by_number.values())

    def get(self, version: int) -> SagaDefinition[Data] | None:
        """Return the definition with this number; None if this process does not run it."""
        return self._by_number.get(version)

    def __getitem__(self, version: int) -> SagaDefinition[Data]:
        """Return the definition with this number; raises `UnknownVersion`, as during a deployment that adds one."""
        definition = self.get(version)
        if definition is None:
            raise UnknownVersion(f"version {version} of {self.current.name} is not run here", version=version)
        return definition

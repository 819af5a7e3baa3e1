"""What the definition of a choreography is made of; it is checked against the event contract when it is built."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from shared.event_bus import CONTRACT, Backward, Payload, event_type_of

Fact = type[Payload]  # an event type, by the class of its payload


class InvalidChoreography(ValueError):
    """The definition and the event contract do not agree, or a saga could come to a dead end."""


@dataclass(frozen=True)
class Reaction:
    """A service's reaction to an event: the events that it publishes on success (`then`) and otherwise."""

    fact: Fact
    by: str
    then: tuple[Fact, ...]
    otherwise: tuple[Fact, ...] = ()

    @property
    def outcomes(self) -> tuple[tuple[Fact, ...], ...]:
        """The alternatives: the events on success and, if the step can be refused, those on failure."""
        return (self.then, self.otherwise) if self.otherwise else (self.then,)


@dataclass(frozen=True)
class StepEvents:
    """The events of a step: requested, done, refused, and compensated."""

    name: str
    begins: Fact
    ends: Fact
    fails: type[Backward]
    undone: type[Backward]

    @property
    def facts(self) -> tuple[Fact, ...]:
        """All events of the step."""
        return (self.begins, self.ends, self.fails, self.undone)


@dataclass(frozen=True)
class Choreography:
    """Who reacts to which event; nothing runs it as a whole. `beginnings` are events that follow from no other."""

    name: str
    beginnings: tuple[Fact, ...]
    reactions: tuple[Reaction, ...]
    steps: tuple[StepEvents, ...]

    def __post_init__(self) -> None:
        self._check_who_reacts()
        self._check_who_publishes()
        self._check_ends()

    @cached_property
    def causes(self) -> dict[Fact, frozenset[Fact]]:
        """For each event, those that it may follow from."""
        return {
            fact: frozenset(each.fact for each in self.reactions if any(fact in outcome for outcome in each.outcomes))
            for fact in (event_type.payload for event_type in CONTRACT.values())
        }

    def _check_who_reacts(self) -> None:
        here = [(each.fact, each.by) for each in self.reactions]
        contract = {(each.payload, service) for each in CONTRACT.values() for service in each.handled_by}
        self._insist(len(here) == len(set(here)), "somebody reacts to a fact in two ways")
        self._insist(set(here) == contract, f"who reacts is not as in the contract: {_words(set(here) ^ contract)}")

    def _check_who_publishes(self) -> None:
        told = {(fact, reaction.by) for reaction in self.reactions for outcome in reaction.outcomes for fact in outcome}
        told |= {(fact, event_type_of(fact).publisher) for fact in self.beginnings}
        contract = {(each.payload, each.publisher) for each in CONTRACT.values()}
        self._insist(told == contract, f"who publishes is not as in the contract: {_words(told ^ contract)}")

    def _check_ends(self) -> None:
        """Check that every event that a service reacts to leads to an end of the saga, whatever the outcomes."""
        ending = {event_type.payload for event_type in CONTRACT.values() if event_type.ends}
        marks = {step.begins for step in self.steps}  # no service reacts to these
        while more := {
            each.fact
            for each in self.reactions
            if each.fact not in ending and all(any(fact in ending for fact in outcome) for outcome in each.outcomes)
        }:
            ending |= more
        lost = {event_type.payload for event_type in CONTRACT.values() if event_type.is_fact} - ending - marks
        self._insist(not lost, f"these lead to no end: {', '.join(sorted(event_type_of(each).name for each in lost))}")

    def _insist(self, holds: bool, complaint: str) -> None:
        if not holds:
            raise InvalidChoreography(f"{self.name}: {complaint}")


def _words(pairs: Iterable[tuple[Fact, str]]) -> str:
    return ", ".join(sorted(f"{event_type_of(fact).name} by {service}" for fact, service in pairs))

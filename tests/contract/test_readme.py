"""What the README says of events and settings is so.

`python -m tests.contract.test_readme` prints the table of events as it should be.
"""

import importlib
from itertools import takewhile

import pytest

from saga_choreography.choreography import CHECKOUT
from shared.config import ROOT
from shared.event_bus import CONTRACT, Entry, Payload, entry_of
from stack.processes import PROCESSES
from tests.system.servers import SERVICES

Fact = type[Payload]
README, EXAMPLE = ((ROOT / name).read_text() for name in ("README.md", ".env.example"))


def event_table() -> list[str]:
    """A line for each event type: what it says, who publishes it, who reacts, and what that one publishes then."""
    head = ["| event | says | published by | who reacts, and what follows |", "|---|---|---|---|"]
    return head + [_row(entry) for entry in CONTRACT.values()]


def _row(entry: Entry) -> str:
    says = (entry.payload.__doc__ or "").splitlines()[0].rstrip(".")
    reactions = [each for each in CHECKOUT.reactions if each.fact is entry.payload]
    then = "; ".join(f"{each.by}: {_followed(each.then, each.otherwise)}" for each in reactions)
    return f"| `{entry.name}` | {says} | {entry.publisher} | {then or ('*the end*' if entry.ends else 'nobody')} |"


def _followed(then: tuple[Fact, ...], otherwise: tuple[Fact, ...]) -> str:
    """The events that follow; what follows in either case is said once."""
    same = takewhile(lambda pair: pair[0] is pair[1], zip(then, otherwise or then, strict=False))
    always = tuple(fact for fact, _ in same)
    rest = [_names(each[len(always) :]) for each in (then, otherwise) if len(each) > len(always)]
    return ", ".join(filter(None, [_names(always), " or ".join(rest)])) or "what it sent for the saga, again"


def _names(facts: tuple[Fact, ...]) -> str:
    return ", ".join(f"`{entry_of(each).name}`" for each in facts)


def test_the_table_of_events_is_the_contract() -> None:
    start = README.index(event_table()[0])
    assert README[start:].split("\n\n", maxsplit=1)[0].splitlines() == event_table()


@pytest.mark.parametrize("service", SERVICES)
def test_every_setting_of_a_service_is_told(service: str) -> None:
    fields = importlib.import_module(f"{service}.config").Settings.model_fields
    names = {name.upper() for name, field in fields.items() if field.validation_alias is None}
    assert {name for name in names if f"`{name}`" not in README} == set()
    assert {name for name in names if f"\n#{name}=" not in EXAMPLE} == set()


def test_every_port_is_told_with_its_default() -> None:
    for process in PROCESSES.values():
        for name, port in process.ports.items():
            assert not port or f"`{name}` {port}" in README


if __name__ == "__main__":
    print("\n".join(event_table()))  # noqa: T201

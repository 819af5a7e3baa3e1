"""The measurements of each round, as they are saved; all figures and plots are computed from these."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from stack.errors import StackError


@dataclass(frozen=True)
class Course:
    """The checkouts of a round with an outage. Times are in seconds since the first one arrived.

    `down` and `up` are the begin and the end of the outage; `ended` is when each checkout ended, in the order of
    `arrived`.
    """

    down: float
    up: float
    arrived: tuple[float, ...]
    ended: tuple[float, ...]
    turned_away: int


@dataclass(frozen=True)
class Ends:
    """How the sagas of a round ended, according to their service. Times in seconds.

    `books_open` is from a saga's first effect to its end, `undoing` from the refusal of a step to the end.
    """

    completed: int
    compensated: int
    books_open: tuple[float, ...]
    undoing: tuple[float, ...]


@dataclass(frozen=True)
class Round:
    """One round of one style in one scenario. Times in seconds.

    `latencies` are from the first request to the saga's end. `cpu` is by component, without the load driver; empty with
    an outage, since a restarted process counts from 0.
    """

    scenario: str
    style: str
    seconds: float
    latencies: tuple[float, ...]
    ends: Ends
    cpu: Mapping[str, float]
    course: Course | None = None


@dataclass(frozen=True)
class Comparison:
    """A whole run. `audit` is the audit's report at the end, and `clean` whether all of its rules held."""

    made_at: str
    machine: str
    options: str
    rounds: tuple[Round, ...]
    audit: str
    clean: bool

    def of(self, scenario: str, style: str) -> list[Round]:
        """Return the rounds of one style in one scenario, in order."""
        return [each for each in self.rounds if (each.scenario, each.style) == (scenario, style)]

    def scenarios(self) -> Iterator[str]:
        """Return the names of the measured scenarios."""
        yield from dict.fromkeys(each.scenario for each in self.rounds)

    def save(self, path: Path) -> None:
        """Write all measurements to a file, as JSON."""
        path.write_bytes(_ADAPTER.dump_json(self) + b"\n")


_ADAPTER = TypeAdapter(Comparison)


def combined(parts: Sequence[Comparison]) -> Comparison:
    """Combine runs of different scenarios; a text that several of them have is kept once."""

    def said(name: str) -> str:
        return "\n".join(dict.fromkeys(str(getattr(each, name)) for each in parts))

    return Comparison(
        made_at=parts[0].made_at,
        machine=said("machine"),
        options=said("options"),
        rounds=tuple(each for part in parts for each in part.rounds),
        audit=said("audit"),
        clean=all(part.clean for part in parts),
    )


def load(path: Path) -> Comparison:
    """Read what `save` wrote; raises `StackError` for any other file."""
    try:
        return _ADAPTER.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise StackError(f"{path} holds no comparison: {error}") from error

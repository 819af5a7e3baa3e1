"""The scenarios: each is one kind of load, with or without an injected failure, and is run in both styles."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bench.checkouts import DECLINED

LOST = "paypal"  # the payment method whose answers are lost: a fault switch can match it
STYLES = ("orchestrated", "choreographed")


@dataclass(frozen=True)
class Scenario:
    """A load; `share` of its checkouts are paid by `method`. `down` are the processes that an outage stops."""

    name: str
    title: str
    told: str
    load: str = "spread"
    share: float = 0.0
    method: str = DECLINED
    down: tuple[str, ...] = ()

    @property
    def loses_answers(self) -> bool:
        """Whether the answers to the payments by its method are lost."""
        return self.method == LOST


def _service(name: str) -> Scenario:
    return Scenario(
        f"{name}-down",
        f"{name} is down",
        f"Checkouts come at a steady rate; {name}, its web process and its worker, is stopped for a while.",
        down=(name, f"{name}-worker"),
    )


SCENARIOS = (
    Scenario("calm", "Calm", "Many products, and nothing fails."),
    Scenario("hot", "One hot product", "Everybody buys the same product.", load="hot"),
    Scenario("declines", "Declined payments", "One payment in twenty is declined.", share=0.05),
    Scenario(
        "lost-answers",
        "Lost answers",
        "One payment in ten is taken, and its answer lost once: the HTTP answer, or the message's acknowledgement.",
        share=0.1,
        method=LOST,
    ),
    *map(_service, ("carrito", "inventario", "pagos")),
    Scenario(
        "broker-down",
        "The broker is down",
        "Checkouts come at a steady rate; RabbitMQ is stopped for a while.",
        down=("rabbitmq",),
    ),
)


@dataclass(frozen=True)
class Extent:
    """How much is measured. Without an outage: the rounds, the checkouts of each, and how many are in flight.

    With an outage: the rounds, the checkouts per second and for how long, when the outage begins and how long it lasts.
    """

    scenarios: Sequence[Scenario]
    rounds: int
    sagas: int
    in_flight: int
    outage_rounds: int
    per_second: float
    seconds: float
    down_after: float
    down_for: float

    def rounds_of(self, scenario: Scenario) -> int:
        """Return the number of rounds of a scenario in each style."""
        return self.outage_rounds if scenario.down else self.rounds

    def cases(self) -> Iterator[tuple[Scenario, str]]:
        """Yield all rounds in order: the styles alternate, and each is first as often as the other."""
        for scenario in self.scenarios:
            for number in range(self.rounds_of(scenario)):
                for style in STYLES if number % 2 == 0 else STYLES[::-1]:
                    yield scenario, style

    def only(self, scenarios: Sequence[Scenario]) -> "Extent":
        """Return the same extent for these scenarios only."""
        return replace(self, scenarios=scenarios)

    def __str__(self) -> str:
        return (
            f"Under load: medians of {self.rounds} rounds of {self.sagas} checkouts, {self.in_flight} in flight. While "
            f"something is down: medians of {self.outage_rounds} rounds of {self.seconds:g} s with {self.per_second:g} "
            f"checkouts a second; after {self.down_after:g} s it is stopped, {self.down_for:g} s later started again."
        )


# Ten checkouts per second leave half of two cores idle, so that the backlog of an outage can be worked off.
FULL = Extent(SCENARIOS, 5, 160, 8, 3, per_second=10, seconds=15, down_after=3, down_for=5)
QUICK = Extent(SCENARIOS, 1, 20, 4, 1, per_second=8, seconds=2, down_after=0.5, down_for=0.5)

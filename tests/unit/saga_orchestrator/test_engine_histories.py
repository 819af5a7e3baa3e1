"""For any history, the rules of the books hold at the end.

Participants that keep the barrier's promises; messages that are lost, answered late or delivered twice; an executor
that crashes and forgets all that was not durable; an operator who turns the saga back; a deadline that passes.
"""

from dataclasses import dataclass, field

from hypothesis import event, given, settings
from hypothesis import strategies as st

from saga_orchestrator.orchestrator import CHECKOUT
from saga_orchestrator.runtime.engine import apply, begin, crosses_pivot, next_command, started, turn_back
from saga_orchestrator.runtime.state import Command, Outcome, Refused, SagaState, Succeeded, Unknown
from shared.saga.states import Direction, SagaStatus

STEPS = [step.name for step in CHECKOUT.shown_steps]


@dataclass
class World:
    """The participants: what stands, what was compensated, and what is always refused."""

    refuses: frozenset[str]
    standing: set[str] = field(default_factory=set)
    undone: list[str] = field(default_factory=list)

    def receive(self, command: Command) -> Outcome:
        if command.direction is Direction.COMPENSATION:
            self.standing.discard(command.step)
            if command.step not in self.undone:
                self.undone.append(command.step)
            return Succeeded()
        if command.step in self.refuses or command.step in self.undone:
            return Refused("no")
        if command.step == "confirm_order" and "create_order" in self.undone:
            return Refused("cancelled")
        self.standing.add(command.step)
        return Succeeded()


@dataclass
class Run:
    """One saga: what its executor knows, and what is durable."""

    world: World
    state: SagaState = field(default_factory=lambda: begin(CHECKOUT))
    durable: SagaState = field(default_factory=lambda: begin(CHECKOUT))
    written: SagaState = field(default_factory=lambda: begin(CHECKOUT))  # a crash of the server may lose it
    in_flight: list[Command] = field(default_factory=list)
    operator: bool = False

    def go_on(self, fate: str) -> None:
        command = next_command(CHECKOUT, self.state)
        if command is None:
            return
        crosses = crosses_pivot(CHECKOUT, self.state, command)
        self.state = started(self.state, command)
        if crosses:
            self.write()
        outcome = self.send(command, fate)
        forward = not self.state.backward
        self.state = apply(CHECKOUT, self.state, command, outcome)
        if forward and self.state.backward:
            self.write()
        elif self.state.ended:
            self.written = self.state

    def write(self) -> None:
        self.durable = self.written = self.state

    def send(self, command: Command, fate: str) -> Outcome:
        late = fate.endswith("late")
        if fate.startswith("lost"):
            self.in_flight.append(command)  # it may still arrive
            return Unknown("lost", deadline_passed=late)
        outcome = self.world.receive(command)
        if fate.startswith("unanswered"):
            return Unknown("no answer", deadline_passed=late)
        if fate == "twice":
            self.in_flight.append(command)
        return outcome

    def crash(self) -> None:
        self.state = self.written

    def server_crash(self) -> None:
        self.state = self.written = self.durable

    def turn_back(self) -> None:
        self.operator = True
        self.state = turn_back(CHECKOUT, self.written, "operator")
        self.write()

    def arrive(self) -> None:
        if self.in_flight:
            self.world.receive(self.in_flight.pop(0))


FATES = st.sampled_from(["ok", "ok", "ok", "twice", "lost", "lost late", "unanswered", "unanswered late"])
HAPPENINGS = st.one_of(
    st.tuples(st.just("go on"), FATES),
    st.tuples(st.just("go on"), FATES),
    st.tuples(st.sampled_from(["crash", "server crash", "progress", "turn back", "arrive"]), st.just("")),
)


def play(refuses: frozenset[str], happenings: list[tuple[str, str]]) -> Run:
    run = Run(World(refuses))
    for what, fate in happenings:
        if what == "go on":
            run.go_on(fate)
        elif what == "crash":
            run.crash()
        elif what == "server crash":
            run.server_crash()
        elif what == "progress":
            run.written = run.state
        elif what == "turn back":
            run.turn_back()
        else:
            run.arrive()
    for _ in range(50):  # from here on nothing fails; more commands than any saga needs
        run.go_on("ok")
    while run.in_flight:
        run.arrive()
    return run


@settings(max_examples=1500, deadline=None, derandomize=True)
@given(
    refuses=st.frozensets(st.sampled_from(STEPS), max_size=1),
    happenings=st.lists(HAPPENINGS, max_size=40),
)
def test_every_history_ends_with_all_or_nothing(refuses: frozenset[str], happenings: list[tuple[str, str]]) -> None:
    run = play(refuses, happenings)
    event(f"{run.state.status}, operator {run.operator}")
    assert run.state.ended, "an accepted saga ends"
    standing = run.world.standing & set(STEPS)
    if run.state.status is SagaStatus.COMPLETED:
        assert standing == set(STEPS), "completed: reserved, paid, ordered and committed"
        assert "confirm_order" in run.world.standing
        assert not run.world.undone, "nothing of it was undone"
    else:
        assert standing == set(), "compensated: nothing stands, not even what arrived late"
        assert "release_cart" in run.world.standing, "its cart is open again"


@settings(max_examples=500, deadline=None, derandomize=True)
@given(refuses=st.frozensets(st.sampled_from(STEPS), max_size=1), happenings=st.lists(HAPPENINGS, max_size=40))
def test_compensations_run_in_reverse_order(refuses: frozenset[str], happenings: list[tuple[str, str]]) -> None:
    undone = play(refuses, happenings).world.undone
    assert undone == sorted(undone, key=STEPS.index, reverse=True)


@settings(max_examples=1500, deadline=None, derandomize=True)
@given(happenings=st.lists(HAPPENINGS.filter(lambda happening: happening[0] != "turn back"), max_size=60))
def test_once_the_pivot_took_effect_the_saga_completes(happenings: list[tuple[str, str]]) -> None:
    run = Run(World(frozenset()))
    for what, fate in happenings:
        if what == "go on":
            run.go_on(fate)
        elif what == "crash":
            run.crash()
        elif what == "server crash":
            run.server_crash()
        elif what == "arrive":
            run.arrive()
        if "commit_inventory" in run.world.standing:
            break
    passed = "commit_inventory" in run.world.standing
    for number in range(100):  # the deadline has passed, and many answers are lost
        run.crash() if number % 7 == 0 else run.go_on("ok" if number % 5 == 0 else "unanswered late")
    event(f"pivot passed: {passed}")
    if passed:
        assert run.state.status is SagaStatus.COMPLETED

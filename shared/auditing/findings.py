"""The findings of an audit: a verdict on each rule, and the sagas that could not be checked."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from shared.auditing.books import Books
from shared.auditing.facts import AuditedSaga
from shared.auditing.rules import Rule, SagaRule, Verdict, listed
from shared.saga.states import SagaStatus

LOST = "begun, and unknown to its saga service"


@dataclass
class Examined:
    """The results for the sagas so far; examining a saga again replaces its earlier result."""

    checked: int = 0
    by_hand: set[str] = field(default_factory=set)  # unknown to the saga services, but without a broken rule
    unkept: set[str] = field(default_factory=set)  # older than the retention, so its saga service may have purged it
    broken: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))  # by rule
    unchecked: dict[str, str] = field(default_factory=dict)  # with the reason

    def examine(self, sagas: Iterable[AuditedSaga], rules: Sequence[SagaRule], kept_since: float) -> None:
        """Check every rule on each of these sagas that has ended; `kept_since` is as of `time.time`."""
        for saga in sagas:
            kept = saga.born >= kept_since
            why = saga.unchecked or (LOST if saga.began and not saga.known and kept else None)
            if why is not None:
                self.unchecked[saga.id] = why
                continue
            self.checked += 1
            broken = [rule.name for rule in rules if not rule.holds(saga)]
            for name in broken:
                self.broken[name].append(saga.id)
            if not saga.known and not broken:
                (self.by_hand if kept else self.unkept).add(saga.id)

    @property
    def wrong(self) -> set[str]:
        """The sagas that break a rule."""
        return {saga_id for broken in self.broken.values() for saga_id in broken}

    @property
    def open(self) -> list[str]:
        """The sagas that are not in order."""
        return sorted({*self.unchecked, *self.wrong})

    def reopen(self) -> list[str]:
        """Drop the results for the sagas that are not in order, and return these sagas, to examine them again."""
        again = self.open
        self.checked -= len(again) - len(self.unchecked)
        self.by_hand.difference_update(again)
        self.unkept.difference_update(again)
        self.broken.clear()
        self.unchecked.clear()
        return again


@dataclass(frozen=True)
class Finding:
    """The verdict on one rule."""

    rule: Rule | SagaRule
    verdict: Verdict

    @property
    def broken(self) -> bool:
        """Whether the rule does not hold."""
        return not self.verdict.holds


@dataclass(frozen=True)
class Findings:
    """The verdicts on all rules; `full` says whether all sagas were examined, or only those that changed."""

    findings: tuple[Finding, ...]
    examined: Examined
    full: bool

    @property
    def broken(self) -> tuple[str, ...]:
        """The names of the rules that do not hold."""
        return tuple(finding.rule.name for finding in self.findings if finding.broken)

    @property
    def unchecked(self) -> Mapping[str, str]:
        """The sagas that could not be checked, and why."""
        return self.examined.unchecked

    @property
    def clean(self) -> bool:
        """Whether every rule holds, for every saga."""
        return not self.broken and not self.unchecked


def find(
    rules: Sequence[Rule | SagaRule], books: Books, examined: Examined, *, full: bool, waited: bool = False
) -> Findings:
    """Judge each rule; when the audit `waited`, every saga should have ended."""
    return Findings(tuple(Finding(rule, _verdict(rule, books, examined, waited)) for rule in rules), examined, full)


def _verdict(rule: Rule | SagaRule, books: Books, examined: Examined, waited: bool) -> Verdict:
    if isinstance(rule, Rule):
        return rule.judge(books)
    broken = examined.broken.get(rule.name, [])
    if rule.name == "sagas_end":
        broken = [each for each, why in examined.unchecked.items() if waited or why == SagaStatus.STUCK]
    return Verdict(not broken, f"sagas that don't: {listed(broken)}", tuple(broken))

"""Fault switches for people: what each does, what is switched on where, and what happened to which saga."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dashboard.words import counted, step_name

Json = Mapping[str, Any]

PARTICIPANTS = ("carrito", "inventario", "pagos")  # the services that do steps of sagas
# The effect of each fault, and the end of its saga.
EFFECTS = {
    "refuse": "a definite no, the same every time: the saga is undone",
    "unavailable": "503, and nothing is done: tried again",
    "slow": "done, but later by so many milliseconds",
    "lose_answer": "done and committed, then the answer is lost: tried again, done once",
    "fail_undo": "the compensation fails: tried again until it is done",
    "kill": "the process ends, as in a crash, and is started again",
    "deliver_twice": "the event that asks for the step is published twice: the copy is dropped",
    "delay_message": "the event that asks for the step is published later; say how often",
    "pause_consumer": "the service takes no event until it is switched off; it is for no step",
}
OF_MESSAGES = frozenset({"deliver_twice", "delay_message"})
# Fields that the form shows for these faults only; for other faults their values are ignored.
OF_FAULTS = {"milliseconds": {"slow", "delay_message"}, "point": {"kill"}}
NUMBERS = ("times", "milliseconds")
# The services' names of the form's fields that limit a fault to some sagas.
MATCHED = {"user": "user_id", "cart": "cart_id", "method": "payment_method"}
NAMED = {"user_id": "user", "cart_id": "cart", "payment_method": "payments with"}
POINTS = {"": "\u2013", "before": "before the step", "after": "after its commit"}  # of `kill` only


@dataclass(frozen=True)
class Participant:
    """One service: `said` is None where it did not answer, and `is_off` where it has no faults to switch."""

    name: str
    said: Json | None
    is_off: bool = False

    @property
    def switches(self) -> Sequence[Json]:
        """What is switched on."""
        return [] if self.said is None else list(self.said["items"])

    @property
    def steps(self) -> Sequence[str]:
        """The steps that a fault can be for: its own, and those that its messages request."""
        return [] if self.said is None else list(dict.fromkeys([*self.said["steps"], *self.said["messages"]]))


def request_of(form: Mapping[str, str]) -> Json:
    """Make the request body of the form that was filled in; raises `ValueError` for invalid numbers."""
    fault = form.get("name", "")
    told = {name: value for name, value in form.items() if fault in OF_FAULTS.get(name, {fault})}
    numbers = {name: int(told[name]) for name in NUMBERS if told.get(name, "").strip()}
    texts = {name: told[name] for name in ("step", "point") if told.get(name)}
    match = {field: form[name].strip() for name, field in MATCHED.items() if form.get(name, "").strip()}
    return {**texts, **numbers, **({"match": match} if match else {})}


def where(fault: Json) -> str:
    """Return the name of the action, or for `fail_undo` of the compensation, that a fault is for."""
    step = fault["step"]
    return step_name(step, compensation=fault["name"] == "fail_undo") if step else "all messages"


def how(switch: Json) -> str:
    """Say where and how often a fault happens."""
    parts = [where(switch)]
    if switch["point"]:
        parts.append(f"{switch['point']} it")
    if switch["milliseconds"]:
        parts.append(f"{switch['milliseconds']} ms")
    if switch["name"] != "pause_consumer":
        parts.append("every time" if switch["times"] is None else f"{counted(switch['times'], 'time')} for each saga")
    parts += [f"only {NAMED[name]} {value}" for name, value in switch["match"].items() if value]
    return ", ".join(parts)


def fired(participants: Sequence[Participant]) -> list[Json]:
    """Return the faults that happened at any service, the latest first."""
    rows = [{**row, "service": each.name} for each in participants if each.said for row in each.said["fired"]]
    return sorted(rows, key=lambda row: str(row["fired_at"]), reverse=True)

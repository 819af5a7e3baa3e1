"""The templates' environment: escaping, and the filters and words that all templates share."""

from datetime import datetime
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dashboard.faults import how, where
from dashboard.story import Json
from dashboard.words import (
    ACTIONS,
    ICONS,
    METHODS,
    OF_STATUS,
    STATUSES,
    UNKNOWN,
    ago,
    counted,
    due,
    duration,
    money,
    step_name,
)

STEPS = tuple(ACTIONS)[1:-1]  # steps that can fail


@cache
def _environment() -> Environment:
    found = Environment(
        loader=PackageLoader("dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"time": _time, "due": _due, "took": _took, "step": step_name, "counted": counted, "how": how}
    found.filters |= {"duration": duration, "money": money, "retried": _retried, "where": where}
    found.globals |= {
        "ICONS": ICONS,
        "OF_STATUS": OF_STATUS,
        "STATUSES": STATUSES,
        "METHODS": METHODS,
        "STEPS": STEPS,
        "UNKNOWN": UNKNOWN,
    }
    return found


def _time(value: str | datetime, now: datetime) -> Markup:
    """Write how long ago a time is, with the exact time as a tooltip."""
    then = datetime.fromisoformat(value) if isinstance(value, str) else value
    return _moment(then, ago(then, now))


def _due(value: str, now: datetime) -> Markup:
    """Write when something is due, with the exact time as a tooltip."""
    then = datetime.fromisoformat(value)
    return _moment(then, due(then, now))


def _moment(then: datetime, words: str) -> Markup:
    exact = then.isoformat(sep=" ", timespec="milliseconds")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(then.isoformat(), exact, words)


def _retried(saga: Json) -> str:
    """Return the retried command of a saga in a list, and its attempts.

    A choreographed saga has no step while all its steps are done and its end is missing; an orchestrated one while its
    service does not run its version.
    """
    if saga["step"] is None:
        choreographed = saga["saga_pattern"] == "choreographed"
        return "Its events were sent again" if choreographed else "A step of another version"
    name = step_name(str(saga["step"]), compensation=saga["direction"] == "compensation")
    return f"{name}, {counted(saga['attempts'], 'attempt')}"


def _took(saga: Json, now: datetime) -> str:
    """Return the duration from the saga's beginning to its end, or until now."""
    begun = datetime.fromisoformat(str(saga["created_at"]))
    end = now if saga["ended_at"] is None else datetime.fromisoformat(str(saga["ended_at"]))
    return duration(max(0.0, (end - begun).total_seconds() * 1000))


def render(template: str, **values: Any) -> str:
    """Render a template of `templates/` with these values; a missing one is an error."""
    return _environment().get_template(template).render(**values)

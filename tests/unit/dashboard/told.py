"""Recorded sagas with changes, and the text of their pages."""

from typing import Any

from tests.unit.dashboard.recorded import page_of
from tests.unit.dashboard.text import Text


def text_of_told(told: dict[str, Any]) -> str:
    return Text(page_of(told)).text


def noted(told: dict[str, Any], **entry: Any) -> dict[str, Any]:
    """Return the saga with one more entry at the end of its timeline, about the saga as a whole."""
    items = told["timeline"]["items"]
    blank = {**dict.fromkeys(items[-1]), "id": "01a21726-0000-7000-8000-0000000000ff"}
    times = dict.fromkeys(("started_at", "finished_at"), items[-1]["finished_at"])
    told["timeline"]["items"] = [*items, {**blank, **times, **entry}]
    return told

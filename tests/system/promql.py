"""The queries of dashboards and alerts, and the names of metrics in them."""

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from shared.config import ROOT

FOLDER = ROOT / "deploy" / "observability"
OF_PROMETHEUS = {"up", "ALERTS"}  # what it makes itself
_WORDS = {"and", "or", "unless", "bool"}
_GROUPING = re.compile(r"\b(by|without|on|ignoring)\s*\([^)]*\)")
_NOT_NAMES = re.compile(r"\{[^}]*\}|\[[^\]]*\]")
_NAME = re.compile(r"(?<![\w.$])([a-zA-Z_:][\w:]*)\b(?!\s*\()")
_SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\{([^}]*)\}")


def rules() -> list[dict[str, Any]]:
    """The alert rules."""
    groups = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboards() -> dict[str, dict[str, Any]]:
    """The dashboards, by the names of their files."""
    return {each.stem: json.loads(each.read_text()) for each in (FOLDER / "grafana" / "dashboards").glob("*.json")}


def queries() -> Iterator[str]:
    """All queries, variables of dashboards included."""
    yield from (rule["expr"] for rule in rules())
    for board in dashboards().values():
        yield from (target["expr"] for panel in board["panels"] for target in panel.get("targets", ()))
        for variable in board["templating"]["list"]:
            yield variable["query"]["query"].removeprefix("label_values(").partition(",")[0]


def names_in(query: str) -> set[str]:
    """The metrics that a query names."""
    bare = _GROUPING.sub("", _NOT_NAMES.sub("", re.sub(r'"[^"]*"', "", query)))
    return set(_NAME.findall(bare)) - _WORDS


def labels_in(query: str) -> Iterator[tuple[str, str]]:
    """Each metric with each label by which it is selected."""
    for name, matchers in _SELECTOR.findall(query):
        for label in re.findall(r'(\w+)\s*[=!]~?\s*"', matchers):
            yield name, label

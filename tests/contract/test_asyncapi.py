"""docs/asyncapi.json agrees with the event contract."""

import json
from collections.abc import Iterator
from typing import Any

from shared.config import ROOT
from shared.event_bus import CONSUMERS, CONTRACT
from shared.messaging.asyncapi import document, text


def test_the_document_is_current() -> None:
    assert (ROOT / "docs/asyncapi.json").read_text() == text(), (
        "python -m shared.messaging.asyncapi > docs/asyncapi.json"
    )


def test_every_reference_leads_somewhere() -> None:
    whole = json.loads(text())
    found = list(references(whole))
    assert len(found) > len(CONTRACT)
    for reference in found:
        there = whole
        for part in reference.removeprefix("#/").split("/"):
            there = there[part]


def test_every_event_is_sent_by_one_service_and_received_by_those_that_react() -> None:
    operations = document()["operations"].values()
    for entry in CONTRACT.values():
        channel = {"$ref": f"#/channels/{entry.name}"}
        assert [each["action"] for each in operations if each["channel"] == channel] == [
            "send",
            *("receive" for service in CONSUMERS if service in entry.consumers),
        ]


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)

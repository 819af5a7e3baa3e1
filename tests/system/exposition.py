"""What processes show Prometheus on `/metrics`, as samples that a test can add up."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import requests
from prometheus_client.parser import text_string_to_metric_families

SECONDS = 30


@dataclass(frozen=True)
class Sample:
    """One line: a name, its labels, and a value."""

    name: str
    labels: Mapping[str, str]
    value: float


class Exposition:
    """The samples of many processes together."""

    def __init__(self, texts: Iterable[str]) -> None:
        families = [family for text in texts for family in text_string_to_metric_families(text)]
        self.samples = [Sample(one.name, one.labels, one.value) for each in families for one in each.samples]
        self.types = {each.name: each.type for each in families}

    @property
    def names(self) -> set[str]:
        """The names that a query may use, also of metrics of which there is no sample yet."""
        return {each.name for each in self.samples} | {
            name + suffix for name, kind in self.types.items() for suffix in SUFFIXES.get(kind, ("",))
        }

    def sum(self, name: str, **labels: str) -> float:
        """The sum of all samples of this name that have these labels."""
        return sum(self.values(name, **labels))

    def values(self, name: str, **labels: str) -> list[float]:
        """The values of all samples of this name that have these labels."""
        return [each.value for each in self.samples if each.name == name and labels.items() <= each.labels.items()]


SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}


def scraped(*urls: str) -> Exposition:
    """What these show now."""
    replies = [requests.get(f"{url}/metrics", timeout=SECONDS) for url in urls]
    for reply in replies:
        reply.raise_for_status()
    return Exposition(reply.text for reply in replies)

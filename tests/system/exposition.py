"""What processes show Prometheus on `/metrics`, as samples that a test can add up."""

import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import requests
from prometheus_client.parser import text_string_to_metric_families

from shared.testing import wait_until

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


def wait_for_one_more(show: Callable[[], Exposition], before: Exposition, **labels: str) -> Exposition:
    """What is shown once one more saga with these labels is counted as ended, a moment after clients see its end."""
    name = "saga_duration_seconds_count"

    def shown() -> Exposition | None:
        found = show()
        return found if found.sum(name, **labels) > before.sum(name, **labels) else None

    found = wait_until(shown, f"one more saga of {labels}")
    assert found is not None
    return found


@contextmanager
def reserved_address() -> Iterator[str]:
    """A free address (`host:port`) that no other process is given during the block, for one that listens there."""
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{reserved.getsockname()[1]}"

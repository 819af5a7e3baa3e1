"""Each service's README names the refusals of its commands, as its OpenAPI document does."""

import re
from collections.abc import Iterator

import pytest

from shared.config import ROOT
from tests.contract.documents import document_of
from tests.system.servers import SERVICES

REFUSALS = {"402", "404", "409", "501"}  # other statuses are the same everywhere; the project's README names them
SAME_KEY = "The first request with this key still runs"  # the same for all endpoints that take an idempotency key
ROW = re.compile(r"^\| `[A-Z]+ /")


def refused(service: str, method: str, path: str) -> set[str]:
    """Return the refusals that the document declares. Names in paths are shorter in the READMEs."""
    paths = document_of(service)["paths"]
    [operations] = [paths[each] for each in paths if re.sub(r"{\w+}", "{}", each) == re.sub(r"{\w+}", "{}", path)]
    declared = operations[method.lower()]["responses"].items()
    return {status for status, response in declared if response["description"] != SAME_KEY} & REFUSALS


def rows_of(service: str) -> Iterator[tuple[str, str]]:
    """Yield the commands of each row of the README's table, and the text of its last column."""
    before = ""
    for line in (ROOT / service / "README.md").read_text().splitlines():
        if ROW.match(line):
            commands, *_, said = line.removeprefix("|").removesuffix("|").split("|")
            before = before if said.strip() == "as above" else said
            yield commands, before


@pytest.mark.parametrize("service", SERVICES)
def test_a_readme_names_each_refusal_of_a_command_and_no_other(service: str) -> None:
    rows = list(rows_of(service))
    assert rows
    for commands, said in rows:
        endpoints = re.findall(r"`([A-Z]+) (/[^?`]*)", commands)
        declared = set[str]().union(*(refused(service, *endpoint) for endpoint in endpoints))
        assert set(re.findall(r"\b\d{3}\b", said)) & REFUSALS == declared, commands

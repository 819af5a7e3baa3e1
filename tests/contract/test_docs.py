"""Links in the documents lead somewhere, and the files and functions that they name exist."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from shared.config import ROOT

PAGES = sorted(
    path.relative_to(ROOT)
    for path in ROOT.rglob("*.md")
    if path.relative_to(ROOT).parts[0] not in {".venv", ".local", ".hypothesis", ".pytest_cache"}
    and "axe-core" not in path.parts
)
LINK = re.compile(r"\]\(([^)\s]*)\)|(?:src|srcset|href)=\"([^\"]*)\"")
FILE = re.compile(r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|sh|toml|yml|patch|json|md|txt))`")
PATCH = (ROOT / "tests/examples/shipping.patch").read_text()
WALKTHROUGH = (ROOT / "docs/walkthrough.md").read_text()


@cache
def text_of(page: Path) -> str:
    """Return the page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL)


@cache
def anchors(page: Path) -> set[str]:
    """Return the anchors of its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> Iterator[str]:
    for found in LINK.findall(text_of(page)):
        link = found[0] or found[1]
        if link and not re.match(r"[a-z]+:", link):
            yield link


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_its_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (ROOT / page.parent / path).resolve() if path else ROOT / page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.relative_to(ROOT)), link


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_the_files_that_it_names_exist(page: Path) -> None:
    named = FILE.findall(text_of(page))
    places = (ROOT, ROOT / page.parent)
    missing = {
        name
        for name in named
        if not any((place / name).exists() for place in places) and f" b/{name}\n" not in PATCH and ".local" not in name
    }
    assert missing == set()


def test_the_functions_that_the_walkthrough_names_exist() -> None:
    named = re.findall(r"`([\w/]+\.py)`\**, `(\w+)`|`(\w+)` in `([\w/]+\.py)`", WALKTHROUGH)
    functions = [(file or file_after, name or name_before) for file, name, name_before, file_after in named]
    assert len(functions) >= 6
    for file, name in functions:
        assert re.search(rf"^\s*(def|class) {name}\b", (ROOT / file).read_text(), re.MULTILINE), f"{file}: {name}"


def test_the_classes_that_the_glossary_explains_exist() -> None:
    section = (ROOT / "docs/glossary.md").read_text().split("## In the code")[1].split("\n## ")[0]
    named = {
        name for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    code = "".join(path.read_text() for service in ROOT.glob("*/__init__.py") for path in service.parent.rglob("*.py"))
    assert len(named) > 10
    assert {name for name in named if not re.search(rf"^class {name}\b", code, re.MULTILINE)} == set()


def test_every_source_that_the_glossary_names_is_listed_and_the_other_way_round() -> None:
    terms, listed = (ROOT / "docs/glossary.md").read_text().split("\n## Sources\n")
    named = set(re.findall(r"\[([A-Z]\w*(?: \d+)?|12F)\]", terms))
    assert named == set(re.findall(r"^\* \[(.+?)\]", listed, re.MULTILINE))

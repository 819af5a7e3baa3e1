"""The project's own terms that some functions use: those of the glossary, and names of classes."""

import ast
import re
from collections.abc import Iterable

from shared.config import ROOT
from tests.reading.sizes import Function, modules

SECTION = re.compile(r"^## In the code\n(.*?)^## ", re.MULTILINE | re.DOTALL)


def own_terms(functions: Iterable[Function]) -> set[str]:
    """Return the names in the glossary's section "In the code" that these functions use, or that are their classes."""
    found = SECTION.search(ROOT.joinpath("docs/glossary.md").read_text())
    rows = re.findall(r"^\| (`.*?) \|", found[1] if found else "", re.MULTILINE)
    files = {each.file for each in functions}
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)} & _words(
        ROOT.joinpath(file).read_text() for file in files
    )


def classes_named(functions: Iterable[Function]) -> set[str]:
    """Return the names of the project's classes in the text of these functions."""
    trees = (ast.walk(ast.parse(ROOT.joinpath(file).read_text())) for file in modules())
    classes = {node.name for tree in trees for node in tree if isinstance(node, ast.ClassDef)}
    return classes & _words(_text_of(each) for each in functions)


def _text_of(function: Function) -> str:
    lines = ROOT.joinpath(function.file).read_text().splitlines()
    return "\n".join(lines[function.first - 1 : function.last])


def _words(texts: Iterable[str]) -> set[str]:
    return {word for text in texts for word in re.findall(r"\w+", text)}

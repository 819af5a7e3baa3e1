"""Each planted bug has one place in the present code, and names existing tests.

Where one of these fails after a change of the code, change the entry in `tests/mutants/mutants.toml` with it.
"""

import ast
from collections import Counter
from functools import cache

from shared.config import ROOT
from tests.mutants.planted import Mutant, read

MUTANTS = read()
AREAS = {
    "barrier",
    "engine",
    "leases",
    "outbox",
    "inbox",
    "arbiter",
    "money",
    "stock",
    "handover",
    "timeline",
    "clocks",
    "standing",
}


@cache
def text(file: str) -> str:
    path = ROOT / file
    return path.read_text() if path.is_file() else ""


@cache
def functions(file: str) -> set[str]:
    return {each.name for each in ast.walk(ast.parse(text(file))) if isinstance(each, ast.FunctionDef)}


def is_python(mutant: Mutant) -> bool:
    try:
        ast.parse(text(mutant.file).replace(mutant.old, mutant.new))
    except SyntaxError:
        return False
    return True


def there_is(test: str) -> bool:
    file, _, function = test.partition("::")
    return bool(functions(file)) if not function else function.partition("[")[0] in functions(file)


def test_there_are_enough_of_them_in_every_area() -> None:
    assert len(MUTANTS) >= 60
    assert AREAS - {mutant.area for mutant in MUTANTS} == set()
    assert [name for name, count in Counter(mutant.name for mutant in MUTANTS).items() if count > 1] == []


def test_each_has_one_place() -> None:
    places = {mutant.name: text(mutant.file).count(mutant.old) for mutant in MUTANTS}
    assert {name: count for name, count in places.items() if count != 1} == {}


def test_each_changes_it_into_other_python() -> None:
    assert [mutant.name for mutant in MUTANTS if mutant.old == mutant.new or not is_python(mutant)] == []


def test_each_names_tests_that_there_are() -> None:
    named = [(mutant.name, test) for mutant in MUTANTS for test in mutant.tests or ("none",)]
    assert [(name, test) for name, test in named if not there_is(test)] == []

"""The sizes that `python -m tests.reading` counts."""

import inspect

from tests.reading import sizes
from tests.reading.way import library_of

BLOCK = "\n".join(f"line_{number} = {number}" for number in range(sizes.SAME_LINES))


def test_lines_that_are_in_two_modules_count_in_both_however_they_are_indented_and_spaced() -> None:
    indented = "\n\n".join(f"    {line}" for line in BLOCK.splitlines())
    assert sizes.duplicate_lines([f"first = 1\n{BLOCK}", f"{indented}\nlast = 1\n"]) == 2 * sizes.SAME_LINES


def test_fewer_equal_lines_and_equal_imports_are_no_duplicate() -> None:
    short = BLOCK.rpartition("\n")[0]
    imports = "\n".join(f"import module_{number}\nfrom a.b import (\n    name,\n)" for number in range(9))
    assert sizes.duplicate_lines([short, short]) == 0
    assert sizes.duplicate_lines([imports, imports]) == 0


def test_files_that_a_patch_changes_are_told_from_those_it_adds() -> None:
    patch = "--- a/one.py\n+++ b/one.py\n@@\n--- /dev/null\n+++ b/two.py\n@@\n--- /dev/null\n+++ b/three.py\n"
    assert sizes.files_of_patch(patch) == (1, 2)


def test_a_line_belongs_to_the_function_around_it_also_within_what_is_nested_there() -> None:
    lines, first = inspect.getsourcelines(sizes.duplicate_lines)
    for line in (first, first + len(lines) - 1):
        found = sizes.function_at("tests/reading/sizes.py", line)
        assert found is not None
        assert (found.name, found.lines) == ("duplicate_lines", len(lines))
    assert sizes.function_at("tests/reading/sizes.py", 1) is None


def test_a_folder_of_shared_and_the_runtime_are_libraries_and_services_are_none() -> None:
    assert library_of("shared/saga/barrier.py") == "shared/saga"
    assert library_of("shared/event_bus.py") == "shared/event_bus.py"
    assert library_of("saga_orchestrator/runtime/engine.py") == "saga_orchestrator/runtime"
    assert library_of("saga_orchestrator/orchestrator.py") == ""

"""What counts on the way of a checkout."""

from tests.reading.sizes import Function
from tests.reading.way import Way


def function(file: str, name: str) -> Function:
    """A function of two lines."""
    return Function(file, name, 1, 2)


ACCEPT = function("saga_orchestrator/service.py", "accept")
RUN = function("saga_orchestrator/runtime/executor.py", "run")
APPLY = function("saga_orchestrator/runtime/engine.py", "apply")
WRITTEN = function("saga_orchestrator/runtime/runner.py", "written")
PUT = function("shared/batching/queue.py", "put")
WAY = Way(frozenset({(ACCEPT, ""), (RUN, ACCEPT.file), (APPLY, RUN.file), (PUT, RUN.file), (WRITTEN, "")}))


def test_a_unit_counts_as_one_file_and_by_the_functions_that_other_files_call() -> None:
    runtime = ["saga_orchestrator/runtime"]
    assert (WAY.files_with_one(runtime), WAY.functions_with_one(runtime)) == (3, 3)


def test_a_folder_is_no_unit_of_another_one_whose_name_begins_alike() -> None:
    assert (WAY.files_with_one(["saga_orchestrator/run"]), WAY.functions_with_one(["shared/batch"])) == (5, 5)


def test_of_a_library_only_the_functions_that_a_service_calls_are_entered() -> None:
    assert WAY.entered == {RUN}

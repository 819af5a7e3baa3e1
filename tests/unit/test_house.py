"""The rules of the house: imports, the rooms of every participant, and imports without effects."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.config import ROOT

PARTICIPANTS = ("carrito", "inventario", "pagos")
PURE = ("domain", "engine")  # how names of pure modules end: no HTTP, SQL, messages or clock in them
PURE_MODULES = (
    *("shared.errors", "shared.money", "shared.saga.repetition", "shared.saga.states"),
    *("saga_orchestrator.runtime.definition", "saga_orchestrator.runtime.state"),
)
ROOMS = {"__init__", "app", "audit", "commands", "config", "domain", "event_handlers", "init_db", "models", "purges"}
ROOMS |= {"routes", "schemas", "service", "worker"}

SERVICES = tuple(sorted(path.parent.name for path in ROOT.glob("*/app.py")))
MODULES = tuple(
    path.relative_to(ROOT)
    for package in (*SERVICES, "shared", "stack", "bench")
    for path in sorted(ROOT.joinpath(package).rglob("*.py"))
    if "migrations" not in path.relative_to(ROOT).parts
)


def imported(module: Path) -> Iterator[str]:
    """Yield the absolute names of everything that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(ROOT.joinpath(module).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute, so that these rules see them"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_pure(module: Path) -> bool:
    """Whether the module must be pure."""
    dotted = ".".join(module.with_suffix("").parts)
    return dotted in PURE_MODULES or (module.parts[0] in SERVICES and module.stem.endswith(PURE))


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_imports_follow_the_rules_of_the_house(module: Path) -> None:
    package = module.parts[0]
    packages = {each.partition(".")[0] for each in imported(module)}
    assert not packages & (set(SERVICES) - {package}), "no service imports another, and shared/ and stack/ import none"
    assert "tests" not in packages
    if str(module) != "shared/rabbitmq.py":
        assert "pika" not in packages, "pika is imported by shared/rabbitmq.py alone"


@pytest.mark.parametrize("module", [each for each in MODULES if each.parts[1:2] == ("runtime",)], ids=str)
def test_the_runtime_imports_nothing_of_its_service_and_does_not_know_what_a_saga_is_about(module: Path) -> None:
    runtime = f"{module.parts[0]}.runtime."
    of_service = {each for each in imported(module) if each.startswith(f"{module.parts[0]}.")}
    assert {each for each in of_service if not f"{each}.".startswith(runtime)} == set()
    words = set(re.findall(r"[a-z]+", ROOT.joinpath(module).read_text().lower()))
    assert not words & {"cart", "carts", "checkout", "checkouts", "product", "products", "payment", "payments"}


@pytest.mark.parametrize("module", [each for each in MODULES if is_pure(each)], ids=str)
def test_pure_modules_import_the_standard_library_and_each_other(module: Path) -> None:
    package = ".".join(module.parent.parts)
    own = (each.stem for each in MODULES if each.parent == module.parent and is_pure(each))
    allowed = (*PURE_MODULES, *(f"{package}.{name}" for name in own))
    foreign = {each for each in imported(module) if each.partition(".")[0] not in sys.stdlib_module_names}
    assert {each for each in foreign if not each.startswith(tuple(f"{name}." for name in allowed))} == set()


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_only_the_second_engine_imports_temporal(module: Path) -> None:
    if module.parts[:2] != ("saga_orchestrator", "temporal"):
        assert not {each for each in imported(module) if each.partition(".")[0] == "temporalio"}


def test_everything_starts_without_the_second_engine() -> None:
    """The extra is not installed, and the settings do not name it."""
    names = [".".join(module.with_suffix("").parts) for module in MODULES if module.parts[1:2] != ("temporal",)]
    names = [name for name in names if not name.endswith("__main__")]
    missing = "import importlib, sys; sys.modules['temporalio'] = None; [*map(importlib.import_module, sys.argv[1:])]"
    subprocess.run([sys.executable, "-c", missing, *names], cwd=ROOT, check=True)


def test_the_routes_of_saga_services_reach_sagas_by_one_service_over_one_port() -> None:
    shared = set(imported(Path("shared/saga/routes.py")))
    assert {each for each in shared if each.startswith(("sqlalchemy", "shared.database"))} == set()
    for service in ("saga_orchestrator", "saga_choreography"):
        own = {each for each in imported(Path(service, "routes.py")) if each.startswith(f"{service}.")}
        assert f"{service}.service.SAGAS" in own
        port = {f"{service}.service.SAGAS", f"{service}.service.FAILING_STEPS"}
        assert not {each for each in own - port if each.startswith((f"{service}.service", f"{service}.models"))}


@pytest.mark.parametrize("service", [each for each in SERVICES if each in PARTICIPANTS])
def test_every_participant_has_the_same_rooms(service: str) -> None:
    rooms = {path.stem for path in ROOT.joinpath(service).glob("*.py")}
    clients = {"carrito": {"handover", "inventario_client"}}.get(service, set())
    assert {room for room in rooms if not room.endswith("_store")} == ROOMS | clients
    assert ROOT.joinpath(service, "migrations", "versions").is_dir()
    assert ROOT.joinpath(service, "README.md").is_file()


def test_every_package_is_named_where_the_project_is_packed() -> None:
    named = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert named == sorted({".".join(module.parent.parts) for module in MODULES})


# Imports every module, with sockets, subprocesses and threads made impossible, and settings unreadable.
_IMPORT_ALL = """
import importlib, socket, subprocess, sys, threading

def refuse(*_, **__):
    raise RuntimeError("importing must do nothing")

socket.socket.connect = socket.socket.bind = subprocess.Popen.__init__ = threading.Thread.start = refuse
import psycopg2, pydantic_settings
psycopg2.connect = pydantic_settings.BaseSettings.__init__ = refuse
for name in sys.argv[1:]:
    importlib.import_module(name)
"""


def test_importing_any_module_connects_to_nothing_starts_nothing_and_needs_no_settings(tmp_path: Path) -> None:
    names = [".".join(module.with_suffix("").parts) for module in MODULES if module.name != "__main__.py"]
    bare = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT_ALL, *names], env=bare, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert (done.returncode, done.stdout) == (0, "")

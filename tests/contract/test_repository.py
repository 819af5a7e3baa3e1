"""The files that a repository is expected to have exist, and their contents are right."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared import VERSION
from shared.config import ROOT
from tests.contract.documents import document_of
from tests.system.servers import SERVICES

FORMS = [ROOT / ".github/ISSUE_TEMPLATE" / name for name in ("bug.yml", "feature.yml")]


def test_the_version_is_the_latest_of_the_changelog_with_its_date() -> None:
    released = re.findall(
        r"^## (\d+\.\d+\.\d+) - (\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    assert released[0][0] == VERSION


def test_the_package_takes_the_version_from_the_same_place() -> None:
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert configuration["project"]["dynamic"] == ["version"]
    assert configuration["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "shared.VERSION"}


@pytest.mark.parametrize("service", SERVICES)
def test_each_service_s_document_has_the_version(service: str) -> None:
    assert document_of(service)["info"]["version"] == VERSION


def test_the_workflow_runs_what_everybody_runs() -> None:
    workflow = parsed(ROOT / ".github/workflows/ci.yml")
    commands = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    assert sorted(commands) == [".ci/run", "make docker-test"]
    assert all(job["timeout-minutes"] for job in workflow["jobs"].values())
    assert workflow["permissions"] == {"contents": "read"}


@pytest.mark.parametrize("form", FORMS, ids=lambda path: str(path.name))
def test_a_form_for_issues_asks_for_what_it_needs(form: Path) -> None:
    shown = parsed(form)
    assert shown["name"]
    assert shown["description"]
    fields = [field for field in shown["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields)
    assert any(field.get("validations", {}).get("required") for field in fields)


@pytest.mark.parametrize("name", ["CODE_OF_CONDUCT.md", ".editorconfig", ".github/PULL_REQUEST_TEMPLATE.md"])
def test_it_is_there(name: str) -> None:
    assert (ROOT / name).read_text().strip()


def parsed(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found

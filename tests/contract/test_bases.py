"""Versions of Python, PostgreSQL and RabbitMQ, and the licence, are the same wherever they are named."""

import re
import tomllib
from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from packaging.specifiers import SpecifierSet

from shared.config import ROOT

CONTAINERS: Mapping[str, Mapping[str, Any]] = yaml.safe_load((ROOT / "docker-compose.saga.yml").read_text())["services"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DOCKERFILE, README, OPERATIONS = (
    (ROOT / name).read_text() for name in ("Dockerfile", "README.md", "docs/operations.md")
)
IMAGES = "deploy/requirements.lock"
BASE = "Programming Language :: Python :: "
PYTHONS = [name.removeprefix(BASE) for name in PROJECT["classifiers"] if re.fullmatch(rf"{BASE}3\.\d+", name)]


def test_the_pythons_that_are_supported_are_said_once_and_the_same() -> None:
    assert PYTHONS == ["3.11", "3.12", "3.13", "3.14"]
    assert [each for each in PYTHONS if each not in SpecifierSet(PROJECT["requires-python"])] == []
    assert f"Python {PYTHONS[0]} to {PYTHONS[-1]}" in README


def test_images_are_of_a_python_that_is_supported() -> None:
    image = re.search(r"^ARG PYTHON_IMAGE=(python:(3\.\d+)-slim-trixie)$", DOCKERFILE, re.M)
    assert image is not None
    assert image[2] in PYTHONS
    assert f"`{image[1]}`" in OPERATIONS


def test_servers_are_of_a_series_that_their_makers_support() -> None:
    assert CONTAINERS["db"]["image"] == CONTAINERS["db-logins"]["image"] == "postgres:18-alpine"
    assert CONTAINERS["rabbitmq"]["image"] == "rabbitmq:4.3-management"
    for name in ("db", "rabbitmq"):
        assert f"`{CONTAINERS[name]['image']}`" in OPERATIONS


def test_the_database_s_volume_is_where_its_image_keeps_the_data() -> None:
    """Since version 18 that is a folder named by the version below this one; data in the former place would be lost."""
    assert CONTAINERS["db"]["volumes"] == ["db-data:/var/lib/postgresql"]


@pytest.mark.parametrize("lock", [f"requirements{of}.lock" for of in ("", "-temporal", "-kubernetes")] + [IMAGES])
def test_every_library_is_pinned_with_the_hashes_of_its_files(lock: str) -> None:
    entries = re.split(r"\n(?=\w)", (ROOT / lock).read_text().strip())
    assert [entry for entry in entries if "==" not in entry or "--hash=sha256:" not in entry] == []


def test_anybody_may_use_it_under_the_licence_that_is_named() -> None:
    assert (PROJECT["license"], PROJECT["license-files"]) == ("MIT", ["LICENSE"])
    text = (ROOT / "LICENSE").read_text()
    assert text.startswith("MIT License\n\nCopyright (c) 2026 the project's contributors\n")
    assert "[LICENSE](LICENSE)" in README or "[MIT](LICENSE)" in README

from collections.abc import Callable
from pathlib import Path

import pytest

from stack import postgres
from stack.errors import StackError
from stack.home import Home


def install(folder: Path, version: str) -> Path:
    """Create a PostgreSQL that can only print its version."""
    folder.mkdir(parents=True)
    for name in ("postgres", "initdb"):
        program = folder / name
        program.write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
        program.chmod(0o755)
    return folder


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    folders = {version: install(tmp_path / version, version) for version in ("13.9", "18.1", "16.3")}
    monkeypatch.setattr(postgres, "_candidates", lambda: list(folders.values()))
    return folders


def made_by(version: int, data: Path) -> Path:
    data.mkdir()
    (data / "PG_VERSION").write_text(f"{version}\n")
    return data


def test_the_first_one_that_is_new_enough_is_taken(installed: dict[str, Path], tmp_path: Path) -> None:
    assert postgres.binaries(tmp_path / "data") == installed["18.1"]


def test_a_cluster_stays_with_the_version_that_made_it(installed: dict[str, Path], tmp_path: Path) -> None:
    assert postgres.binaries(made_by(16, tmp_path / "data")) == installed["16.3"]


@pytest.mark.usefixtures("installed")
def test_a_cluster_whose_version_is_gone_is_not_touched(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"made by PostgreSQL 17.*make clean"):
        postgres.binaries(made_by(17, tmp_path / "data"))


def test_without_any_the_message_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "_candidates", lambda: [tmp_path])
    with pytest.raises(StackError, match=r"Install one .*DATABASE_URL"):
        postgres.binaries(tmp_path / "data")


def test_the_password_is_made_once_and_private(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    home.make()
    assert postgres.url(home, 5432) == postgres.url(home, 5432)
    assert (home.postgres / "password").stat().st_mode & 0o777 == 0o600


def test_a_pid_file_without_its_server_is_removed(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    (home.postgres / "data").mkdir(parents=True)
    pid_file = home.postgres / "data" / "postmaster.pid"
    pid_file.write_text("1\n")
    postgres.forget_stale_pid(home)
    assert not pid_file.exists()


@pytest.mark.parametrize("look", [postgres.is_ready, postgres.missing_database])
@pytest.mark.parametrize("url", ["mysql://u:pa55w0rd@127.0.0.1/x", "u:pa55w0rd@127.0.0.1/x", "postgresql:u:pa55w0rd"])
def test_a_url_of_something_else_is_refused_without_its_password(look: Callable[[str], object], url: str) -> None:
    with pytest.raises(StackError) as refused:
        look(url)
    assert str(refused.value) == "DATABASE_URL must be a postgresql:// URL"

"""Settings are typed, and what is wrong with them is said at start by the variable's name."""

import os

import pytest
from pydantic import ValidationError

from shared.config import DatabaseUrl, ServiceSettings, database_url


class Settings(ServiceSettings):
    database_url: DatabaseUrl = database_url("demo")


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*os.environ]:
        if name.endswith("DATABASE_URL") or name in {"RABBITMQ_URL", "WEB_THREADS"}:
            monkeypatch.delenv(name)


def read() -> Settings:
    return Settings(_env_file=None)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_a_database_url_gets_the_name_of_our_driver(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setenv("DATABASE_URL", f"{scheme}://me@host:5432/shop")
    assert read().database_url == "postgresql+psycopg2://me@host:5432/shop"


def test_a_service_s_own_database_goes_before_that_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://all/shop")
    monkeypatch.setenv("DEMO_DATABASE_URL", "postgresql://own/shop")
    assert read().database_url == "postgresql+psycopg2://own/shop"


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://host/shop", "http://host/"])
def test_a_database_of_another_kind_is_refused_at_start(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(ValidationError, match=r"DATABASE_URL\n.*must be a postgresql:// URL"):
        read()


def test_a_missing_database_is_named_at_start() -> None:
    with pytest.raises(ValidationError, match=r"DATABASE_URL\n"):
        read()


@pytest.mark.parametrize("threads", ["0", "-1", "many", "1.5"])
def test_a_number_that_does_not_fit_is_named_at_start(monkeypatch: pytest.MonkeyPatch, threads: str) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://all/shop")
    monkeypatch.setenv("WEB_THREADS", threads)
    with pytest.raises(ValidationError, match="web_threads"):
        read()

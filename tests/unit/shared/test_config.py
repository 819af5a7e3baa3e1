"""Settings are typed; a wrong one is reported at start by its variable's name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from shared.config import (
    ROOT,
    DatabaseUrl,
    SagaServiceSettings,
    ServiceSettings,
    ServiceUrls,
    WaitingServiceSettings,
    database_url,
)


class Settings(ServiceSettings):
    database_url: DatabaseUrl = database_url("demo")


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*os.environ]:
        if name.endswith("DATABASE_URL") or name in {"RABBITMQ_URL", "WEB_THREADS", "WAITING_PLACES"}:
            monkeypatch.delenv(name)


def read() -> Settings:
    return Settings(_env_file=None)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_a_database_url_gets_the_name_of_our_driver(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setenv("DATABASE_URL", f"{scheme}://me@host:5432/shop")
    assert read().database_url == "postgresql+psycopg2://me@host:5432/shop"


def test_an_empty_broker_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://all/shop")
    monkeypatch.setenv("RABBITMQ_URL", "")
    assert read().rabbitmq_url is None
    monkeypatch.setenv("RABBITMQ_URL", "amqp://host")
    assert read().rabbitmq_url == "amqp://host"


def test_a_broker_may_have_several_hosts_and_what_is_wrong_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://all/shop")
    monkeypatch.setenv("RABBITMQ_URL", "amqp://me:secret@a:5672,b:5672/%2F")
    assert read().rabbitmq_url == "amqp://me:secret@a:5672,b:5672/%2F"
    monkeypatch.setenv("RABBITMQ_URL", "amqp://me:secret@a:5672,b:port/%2F")
    with pytest.raises(
        ValidationError, match=r"rabbitmq_url\n.*must have hosts as host or host:port.*not 'b:port'"
    ) as no:
        read()
    assert "secret" not in str(no.value)


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


@pytest.mark.parametrize("size", ["0", "-1", "inf"])
def test_a_limit_of_bodies_that_lets_none_in_is_named_at_start(monkeypatch: pytest.MonkeyPatch, size: str) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://all/shop")
    monkeypatch.setenv("MAX_BODY_BYTES", size)
    with pytest.raises(ValidationError, match="max_body_bytes"):
        read()


@pytest.mark.parametrize("value", ["inf", "1e400", "nan", "1e18", "99999999999999999999"])
@pytest.mark.parametrize("name", ["lock_seconds", "key_retention_days", "purge_seconds"])
def test_a_number_that_no_clock_or_column_holds_is_named_at_start(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://all/shop")
    monkeypatch.setenv(name.upper(), value)
    with pytest.raises(ValidationError, match=name):
        read()


def test_a_log_level_is_taken_in_any_case_and_an_unknown_one_is_named_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://all/shop")
    monkeypatch.setenv("LOG_LEVEL", "debug")
    assert read().log_level == "DEBUG"
    monkeypatch.setenv("LOG_LEVEL", "bogus")
    with pytest.raises(ValidationError, match="log_level"):
        read()


@pytest.mark.parametrize(
    "url", ["nonsense", "pagos:3002", "ftp://pagos", "http://", "http://pagos:port", "http://:3002"]
)
def test_the_url_of_a_service_is_one_or_named_at_start(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("PAGOS_SERVICE_URL", url)
    with pytest.raises(ValidationError, match="pagos_service_url"):
        ServiceUrls(_env_file=None)


def test_files_give_what_the_environment_does_not_the_last_one_first(tmp_path: Path) -> None:
    (tmp_path / "first").write_text("DATABASE_URL=postgresql://first/shop\nLOG_LEVEL=DEBUG\nWEB_THREADS=1\n")
    (tmp_path / "last").write_text("LOG_LEVEL=error\nWEB_THREADS=2\n")
    env = {"SETTINGS_FILES": f"{tmp_path}/first:{tmp_path}/missing:{tmp_path}/last", "WEB_THREADS": "3"}
    assert read_elsewhere(env) == "postgresql+psycopg2://first/shop ERROR 3"


def test_tests_name_no_files(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LOG_LEVEL=DEBUG\n")
    env = {"SETTINGS_FILES": "", "DATABASE_URL": "postgresql://own/shop"}
    assert read_elsewhere(env) == "postgresql+psycopg2://own/shop INFO 16"


def read_elsewhere(env: dict[str, str]) -> str:
    """Return the setting that a process with this environment reads; its files are chosen when it starts."""
    program = "from inventario.config import Settings as S; s = S(); print(s.database_url, s.log_level, s.web_threads)"
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_service_that_lets_requests_wait_for_two_things_has_a_thread_for_each_beside_those_that_work() -> None:
    assert ServiceSettings(_env_file=None, web_threads=3).threads == 3
    assert WaitingServiceSettings(_env_file=None, web_threads=3, waiting_places=5).threads == 13
    assert SagaServiceSettings(_env_file=None, web_threads=3, waiting_places=8).threads == 21

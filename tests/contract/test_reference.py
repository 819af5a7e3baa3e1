"""The generated pages are current, and `.env.example`, from which one is generated, agrees with the code."""

import pytest

from shared.config import ROOT
from stack.processes import PROCESSES
from tests.reference.files import FILES
from tests.reference.settings import WEB, fields_of, sections

DEFAULTS = {
    name: default
    for section in sections()
    for setting in section.settings
    for name, default in setting.defaults.items()
}


@pytest.mark.parametrize("path", FILES)
def test_a_generated_file_is_current(path: str) -> None:
    assert (ROOT / path).read_text() == FILES[path](), "run: make reference"


@pytest.mark.parametrize("service", WEB)
def test_every_setting_of_a_service_is_in_the_example_with_its_default(service: str) -> None:
    urls = {process.url_setting for process in PROCESSES.values()}
    wrong = {
        name: default
        for name, default in fields_of(service).items()
        if name not in DEFAULTS or (name not in urls and not is_same(DEFAULTS[name], default))
    }
    assert wrong == {}


def is_same(shown: str, default: str) -> bool:
    """Whether a default is shown as it is: 60 is 60.0, and false is False."""
    try:
        return float(shown) == float(default)
    except ValueError:
        return shown.lower() == default.lower()


def test_every_port_is_in_the_example_with_its_default() -> None:
    ports = {name: port for process in PROCESSES.values() for name, port in process.ports.items() if port}
    assert {name: DEFAULTS.get(name) for name in ports} == {name: str(port) for name, port in ports.items()}


def test_nothing_is_in_the_example_that_nobody_reads() -> None:
    read = {name for service in WEB for name in fields_of(service)}
    read |= {name for process in PROCESSES.values() for name in (*process.ports, process.url_setting)}
    compose = (ROOT / "docker-compose.saga.yml").read_text()
    own = {f"{service.upper()}_DATABASE_URL" for service in WEB}
    assert {name for name in DEFAULTS.keys() - read - own if f"${{{name}" not in compose} == set()


def test_every_setting_is_explained() -> None:
    unexplained = [
        setting.defaults
        for section in sections()
        for setting in section.settings
        if not setting.text.endswith((".", ")"))
    ]
    assert unexplained == []

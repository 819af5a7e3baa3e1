"""`docs/reference/settings.md`: what `.env.example` says of each setting, and which services read it."""

import importlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic_settings import BaseSettings

from shared.config import ROOT
from tests.reference.markdown import code, page_of, table

EXAMPLE = ROOT / ".env.example"
WEB = tuple(path.parent.name for path in sorted(ROOT.glob("*/config.py")) if path.parent.name != "shared")
INTRODUCTION = """\
Settings come from the environment, else from a file `.env` beside the Makefile ([`.env.example`](../../.env.example)
has all of them), else from what `make up` started. They are read once, when a process starts; one that does not fit
is named there and then. `make down up`, or `docker-compose up -d`, applies a change.
"""


@dataclass(frozen=True)
class Setting:
    """Settings that are explained together, with their defaults."""

    defaults: dict[str, str]
    text: str


@dataclass(frozen=True)
class Section:
    """Settings about the same subject."""

    title: str
    text: str
    settings: Sequence[Setting]


def sections(file: Path = EXAMPLE) -> Iterator[Section]:
    """Yield the sections of the file, each from one title (`# --- Ports ---`) to the next."""
    _, *parts = re.split(r"^# --- (.+) ---$\n", file.read_text(), flags=re.MULTILINE)
    for title, part in zip(parts[::2], parts[1::2], strict=True):
        blocks = [_block(each) for each in re.split(r"\n\s*\n", part.strip())]
        text = " ".join(each.text for each in blocks if not each.defaults)
        yield Section(title, text, [each for each in blocks if each.defaults])


def _block(lines: str) -> Setting:
    comments = [line.removeprefix("# ") for line in lines.splitlines() if line.startswith("# ")]
    return Setting(dict(re.findall(r"^#([A-Z_]+)=(.*)$", lines, re.MULTILINE)), " ".join(comments))


def fields_of(service: str) -> dict[str, str]:
    """Return the service's settings with their defaults as text, without the URL of its database."""
    model: type[BaseSettings] = importlib.import_module(f"{service}.config").Settings
    plain = {name: field for name, field in model.model_fields.items() if field.validation_alias is None}
    return {name.upper(): "" if field.default is None else str(field.default) for name, field in plain.items()}


@cache
def readers() -> dict[str, list[str]]:
    """Return for each setting the services that read it."""
    fields = {service: fields_of(service) for service in WEB}
    names = dict.fromkeys(name for each in fields.values() for name in each)
    return {name: [service for service in WEB if name in fields[service]] for name in names}


def page() -> str:
    """Return the page."""
    parts = [part for section in sections() for part in _section(section)]
    return page_of("Settings", INTRODUCTION, *parts)


def _section(section: Section) -> Iterator[str]:
    yield f"## {section.title}"
    if section.text:
        yield section.text
    rows = [(code(each.defaults), _defaults(each), _read_by(each), each.text) for each in section.settings]
    yield table(("setting", "default", "read by", "what it is"), rows)


def _defaults(setting: Setting) -> str:
    return ", ".join(f"`{value}`" if value else "none" for value in dict.fromkeys(setting.defaults.values()))


def _read_by(setting: Setting) -> str:
    found = dict.fromkeys(service for name in setting.defaults for service in readers().get(name, []))
    return "all services" if set(found) == set(WEB) else ", ".join(found)

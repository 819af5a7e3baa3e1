"""Which files of `docs/` are generated, and from what."""

from collections.abc import Callable, Mapping
from functools import partial

from shared.messaging import asyncapi
from tests.reference import drawing, endpoints, events, sagas, settings

FILES: Mapping[str, Callable[[], str]] = {
    "docs/asyncapi.json": asyncapi.text,
    "docs/reference/endpoints.md": endpoints.page,
    "docs/reference/events.md": events.page,
    "docs/reference/sagas.md": sagas.page,
    "docs/reference/settings.md": settings.page,
    "docs/images/styles-light.svg": partial(drawing.svg, drawing.LIGHT),
    "docs/images/styles-dark.svg": partial(drawing.svg, drawing.DARK),
}

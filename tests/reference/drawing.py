"""`docs/images/styles-*.svg`: one checkout in both styles, as two sequence diagrams side by side."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 968, 400  # as wide as a README is shown
PANEL = 484  # half of it
HEAD, FIRST, ROW = 70, 128, 44  # px from the top: names of services, first arrow, and between arrows
FOOT = HEIGHT - 66
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"


@dataclass(frozen=True)
class Theme:
    """The colours of a theme."""

    text: str
    quiet: str
    line: str
    box: str
    message: str
    pivot: str


LIGHT = Theme("#1f2328", "#59636e", "#d1d9e0", "#f6f8fa", "#0969da", "#9a6700")
DARK = Theme("#f0f6fc", "#9198a1", "#3d444d", "#151b23", "#4493f8", "#d29922")


@dataclass(frozen=True)
class Message:
    """An arrow between two services."""

    sender: str
    receiver: str
    text: str
    pivot: bool = False


@dataclass(frozen=True)
class Style:
    """One panel: services from left to right, messages from top to bottom, and what happens on a refusal."""

    title: str
    told: str
    services: Sequence[str]
    messages: Sequence[Message]
    refused: str


CALLER = "saga_orchestrator"
TOLD = "One checkout twice: orchestrated, one service calls the others; choreographed, each handles another's events."
STYLES = (
    Style(
        "Orchestrated",
        "one service calls the others over HTTP",
        (CALLER, "inventario", "pagos", "carrito"),
        (
            Message(CALLER, "inventario", "1 hold the stock"),
            Message(CALLER, "pagos", "2 take the money"),
            Message(CALLER, "carrito", "3 create the order"),
            Message(CALLER, "inventario", "4 sell the stock", pivot=True),
            Message(CALLER, "carrito", "5 confirm the order"),
        ),
        "Refused? It calls the compensations in reverse order.",
    ),
    Style(
        "Choreographed",
        "services handle each other's events on RabbitMQ",
        ("carrito", "inventario", "pagos"),
        (
            Message("carrito", "inventario", "checkout.initiated"),
            Message("inventario", "pagos", "inventory.reserved"),
            Message("pagos", "carrito", "payment.processed"),
            Message("carrito", "inventario", "order.created"),
            Message("inventario", "carrito", "inventory.committed", pivot=True),
        ),
        "Refused? Each service undoes its part and publishes that.",
    ),
)


def svg(theme: Theme) -> str:
    """Return the whole drawing."""
    panels = "\n".join(line for number, style in enumerate(STYLES) for line in _panel(style, theme, number * PANEL))
    markers = "".join(_marker(name, colour) for name, colour in (("message", theme.message), ("pivot", theme.pivot)))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
        f' role="img" aria-label="{escape(TOLD)}" font-family="{FONT}" font-size="13">\n'
        f"<defs>{markers}</defs>\n{panels}\n</svg>\n"
    )


def _panel(style: Style, theme: Theme, left: int) -> Iterator[str]:
    at = {name: left + _centre(number, len(style.services)) for number, name in enumerate(style.services)}
    yield _text(left + 16, 26, style.title, theme.text, 'font-size="17" font-weight="600"')
    yield _text(left + 16, 46, style.told, theme.quiet)
    for name, x in at.items():
        yield f'<path d="M{x} {HEAD + 26}V{FOOT}" stroke="{theme.line}" stroke-width="1.5"/>'
        yield _box(name, x, theme)
    for number, message in enumerate(style.messages):
        yield from _arrow(message, at, FIRST + number * ROW, theme)
    yield _text(left + 16, HEIGHT - 34, style.refused, theme.quiet)
    yield _text(left + 16, HEIGHT - 14, "The pivot: from there on, only forward.", theme.pivot)


def _centre(number: int, count: int) -> int:
    """Return a service's position. Distances are equal; the first and the last service have space for their names."""
    first, last = 88, PANEL - 44
    return first + (last - first) * number // (count - 1)


def _box(name: str, x: int, theme: Theme) -> str:
    width = 16 + 7.2 * len(name)
    place = f'x="{x - width / 2:.1f}" y="{HEAD}" width="{width:.1f}" height="26" rx="6"'
    return f'<rect {place} fill="{theme.box}" stroke="{theme.line}"/>' + _text(
        x, HEAD + 17, name, theme.text, 'text-anchor="middle" font-weight="600"'
    )


def _arrow(message: Message, at: dict[str, int], y: int, theme: Theme) -> Iterator[str]:
    start, end = at[message.sender], at[message.receiver]
    gap = 4 if end > start else -4
    name, colour = ("pivot", theme.pivot) if message.pivot else ("message", theme.message)
    line = f'stroke="{colour}" stroke-width="1.8" fill="none" marker-end="url(#{name})"'
    yield f'<path d="M{start} {y}H{end - gap}" {line}/>'
    yield _text(min(start, end) + 10, y - 7, message.text, colour if message.pivot else theme.text)


def _marker(name: str, colour: str) -> str:
    return (
        f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0L8 4L0 8z" fill="{colour}"/></marker>'
    )


def _text(x: float, y: float, text: str, colour: str, more: str = "") -> str:
    return f'<text x="{x}" y="{y}" fill="{colour}" {more}>{escape(text)}</text>'.replace(" >", ">")

"""The colours of the style sheet can be told apart by everybody, and its text is readable, in both themes."""

import re
from itertools import combinations

import pytest

from shared.config import ROOT

SHEET = (ROOT / "dashboard/static/dashboard.css").read_text()
STATES = ("done", "running", "unanswered", "failed", "undone", "idle")
Colour = tuple[float, float, float]

# Linear RGB as seen by people who lack one kind of cone (Machado, Oliveira and Fernandes 2009, severity 1).
SEEN_BY = {
    "most": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopes": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopes": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
    "tritanopes": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.3039)),
}
LEAST_APART, LEAST_CONTRAST = 20.0, 4.5  # CIE76; WCAG 2.2, 1.4.3


def variables(theme: str) -> dict[str, str]:
    """Return the variables of `:root`; those of the dark theme replace the light ones."""
    light, dark = re.findall(r":root\{(.*?)\}", SHEET, re.DOTALL)
    found = dict(re.findall(r"--([\w-]+):(#[0-9A-F]{3,6})\b", light))
    return found | (dict(re.findall(r"--([\w-]+):(#[0-9A-F]{3,6})\b", dark)) if theme == "dark" else {})


def linear(code: str) -> Colour:
    digits = code[1:] if len(code) == 7 else "".join(2 * each for each in code[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return red, green, blue


def seen(colour: Colour, matrix: tuple[tuple[float, ...], ...]) -> Colour:
    red, green, blue = (min(1.0, max(0.0, sum(a * b for a, b in zip(row, colour, strict=True)))) for row in matrix)
    return red, green, blue


def lab(colour: Colour) -> Colour:
    to_xyz = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.072175), (0.0193339, 0.119192, 0.9503041))
    white = (0.95047, 1.0, 1.08883)
    xyz = [sum(a * b for a, b in zip(row, colour, strict=True)) / w for row, w in zip(to_xyz, white, strict=True)]
    x, y, z = (each ** (1 / 3) if each > 216 / 24389 else (24389 / 27 * each + 16) / 116 for each in xyz)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def apart(one: Colour, other: Colour) -> float:
    return float(sum((a - b) ** 2 for a, b in zip(lab(one), lab(other), strict=True)) ** 0.5)


def contrast(one: str, other: str) -> float:
    shades = sorted(0.2126 * red + 0.7152 * green + 0.0722 * blue for red, green, blue in map(linear, (one, other)))
    return (shades[1] + 0.05) / (shades[0] + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("people", SEEN_BY)
def test_states_are_told_apart_by_everybody(theme: str, people: str) -> None:
    colours = {state: seen(linear(variables(theme)[state]), SEEN_BY[people]) for state in STATES}
    close = {pair: apart(*(colours[each] for each in pair)) for pair in combinations(STATES, 2)}
    assert {pair: round(distance, 1) for pair, distance in close.items() if distance < LEAST_APART} == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_can_be_read(theme: str) -> None:
    told = variables(theme)
    # Texts with their backgrounds: pages and cards, badges and rows of a state, and text on its colour.
    pairs = [(ink, ground) for ink in ("ink", "soft") for ground in ("bg", "card")]
    inks = {state: f"{state}-ink" if f"{state}-ink" in told else state for state in STATES if state != "idle"}
    pairs += [(ink, f"{state}-bg") for state, ink in inks.items()]
    pairs += [(ink, "card") for ink in inks.values()]
    pairs += [("on", state) for state in ("failed", "undone", "done")]
    pairs += [("ink", f"{state}-bg") for state in ("failed", "undone", "unanswered", "running")]
    weak = {pair: round(contrast(*(told[each] for each in pair)), 2) for pair in pairs}
    assert {pair: value for pair, value in weak.items() if value < LEAST_CONTRAST} == {}

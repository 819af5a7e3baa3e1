"""The code in docs/adding-a-step.md is in the patch that the tests apply and run."""

import re

from shared.config import ROOT

PAGE = (ROOT / "docs/adding-a-step.md").read_text()
PATCH = (ROOT / "tests/examples/shipping.patch").read_text()


def added() -> set[str]:
    """Return the lines that the patch adds."""
    return {line[1:].strip(" ,") for line in PATCH.splitlines() if line.startswith("+")}


def test_each_line_of_code_is_one_of_the_patch() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    shown = {line.strip(" ,") for block in blocks for line in block.splitlines()}
    assert len(blocks) == 4
    assert shown - added() == set()


def test_each_event_and_file_is_one_of_the_patch() -> None:
    named = set(re.findall(r"`((?:shipment\.\w+|shipping/\w+\.py))`", PAGE))
    assert "shipment.booked" in named
    assert {name for name in named if name not in PATCH} == set()

"""The README is short enough to be read to its end."""

from shared.config import ROOT

MOST_BYTES = 8_000


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_bytes()) <= MOST_BYTES

"""Markdown: pages and tables."""

from collections.abc import Iterable, Sequence

GENERATED = "<!-- Generated from the code by `make reference`; a test compares. -->"


def page_of(title: str, *paragraphs: str) -> str:
    """Return a page of paragraphs, separated by empty lines."""
    return "\n\n".join([GENERATED, f"# {title}", *(each.strip("\n") for each in paragraphs)]) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a `|` within a cell is escaped."""
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join("|" + "|".join(_padded(cell) for cell in line) + "|" for line in lines)


def code(names: Iterable[str], separator: str = ", ") -> str:
    """Return each name as code."""
    return separator.join(f"`{name}`" for name in names)


def _padded(cell: str) -> str:
    return cell if cell == "---" else f" {cell} " if cell else " "

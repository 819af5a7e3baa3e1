"""The text of a page as people read it."""

from html.parser import HTMLParser

# Texts that people can choose, and that must be shown as text.
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'"


class Text(HTMLParser):
    """Collects the text of a page, its tags, and their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        """All text, with single spaces."""
        return " ".join(" ".join(self.words).split())

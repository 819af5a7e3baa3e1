"""The text of a page as people read it."""

from html.parser import HTMLParser

# What people can choose, and what must be seen as text.
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'"


class Text(HTMLParser):
    """Collects what a page says, its tags, and their attributes."""

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
        """All of it, with single spaces."""
        return " ".join(" ".join(self.words).split())

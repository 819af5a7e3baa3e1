"""A viewer of the dashboard with a browser of its own, which records what no page may do."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from playwright.sync_api import Browser, BrowserType, ConsoleMessage, Page, Request, WebError

Theme = Literal["light", "dark"]
THEMES: tuple[Theme, ...] = ("light", "dark")
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ROOT_USER = 0
PATIENCE_MS = 60_000  # only keeps tests from hanging; nothing here takes a tenth of it on a quiet machine
WIDE, NARROW = 1280, 390  # px
HEIGHT = 900  # px
AXE = Path(__file__).parent / "axe-core" / "axe-4.14.1.min.js"

# Adds up how far contents moved without input: movements within half a second after an input are not counted.
WATCH_SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    if (!entry.hadRecentInput) {
      window.shifts.push(...entry.sources.map((each) => {
        const node = each.node && (each.node.outerHTML || each.node.textContent) || "";
        return `${node.slice(0, 120)}: ${each.previousRect.y} to ${each.currentRect.y}`;
      }));
    }
  }
}).observe({type: "layout-shift", buffered: true});
"""


def chromium() -> str | None:
    """Return the path of the browser: `CHROMIUM`, else an installed one; None without any."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


def launch(browsers: BrowserType, path: str) -> Browser:
    """Start a browser that can reach this machine only."""
    options = ["--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"]
    sandboxed = os.geteuid() != ROOT_USER  # Chromium's sandbox does not run as root
    return browsers.launch(executable_path=path, args=options, chromium_sandbox=sandboxed)


class Viewer:
    """One window, with its cookies, theme and size. A context manager that fails for what the pages did wrong."""

    def __init__(self, browser: Browser, url: str, *, theme: Theme = "light", width: int = WIDE) -> None:
        self._url = url
        self._complaints: list[str] = []
        self._expected: tuple[str, ...] = ()
        self.context = browser.new_context(
            base_url=url, color_scheme=theme, viewport={"width": width, "height": HEIGHT}, reduced_motion="reduce"
        )
        self.context.set_default_timeout(PATIENCE_MS)
        self.context.grant_permissions(["clipboard-read", "clipboard-write"])
        self.context.add_init_script(WATCH_SHIFTS)
        self.context.on("request", self._asks)
        self.context.on("console", self._says)
        self.context.on("weberror", self._fails)

    def __enter__(self) -> "Viewer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for page in self.context.pages:
            page.evaluate("0")  # messages before this arrive before its answer
        self.context.close()
        if error is None and self._complaints:
            raise AssertionError("\n".join(self._complaints))

    def open(self, path: str) -> Page:
        """Open a path of the dashboard in a new tab."""
        page = self.context.new_page()
        page.goto(path)
        return page

    def expect_in_console(self, *parts: str) -> None:
        """Ignore console messages with one of these parts: the browser's own, about unanswered requests."""
        self._expected = parts

    def _asks(self, request: Request) -> None:
        if not request.url.startswith((f"{self._url}/", "data:")):
            self._complaints.append(f"request of {request.url}")

    def _says(self, message: ConsoleMessage) -> None:
        if not any(part in message.text for part in self._expected):
            self._complaints.append(f"{message.type} in the console: {message.text}")

    def _fails(self, error: WebError) -> None:
        self._complaints.append(f"a script failed: {error.error}")


def shifts(page: Page) -> list[str]:
    """Return what moved by itself since the page was loaded."""
    moved: list[str] = page.evaluate("window.shifts")
    return moved


def beyond_the_edge(page: Page) -> list[str]:
    """Return the elements that make the page wider than the window, without those that scroll by themselves."""
    found: list[str] = page.evaluate(
        """() => {
          const width = document.documentElement.clientWidth;
          const scrolls = (each) => each && each !== document.documentElement &&
            (getComputedStyle(each).overflowX !== "visible" || scrolls(each.parentElement));
          const beyond = [...document.querySelectorAll("body *")].filter((each) => {
            const box = each.getBoundingClientRect();
            const seen = box.width > 1 && box.height > 1 && box.left > -900;  // the skip link waits at -999
            return seen && (box.right > width + 0.5 || box.left < -0.5) && !scrolls(each.parentElement);
          }).map((each) => each.outerHTML.slice(0, 160));
          const all = document.documentElement.scrollWidth;
          return all > width ? [`${all} px of ${width}`, ...beyond] : beyond;
        }"""
    )
    return found


def cut_off(page: Page) -> list[str]:
    """Return texts that are cut off without a way to see all of them."""
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll("main *, header *")].filter((each) => {
          const style = getComputedStyle(each);
          const hides = ["hidden", "clip"].includes(style.overflowX) || style.textOverflow === "ellipsis";
          const small = each.getBoundingClientRect().width < 2;  // for screen readers only
          return hides && !small && each.scrollWidth > each.clientWidth + 1 && !each.closest("[title]");
        }).map((each) => each.outerHTML.slice(0, 160))"""
    )
    return found


def broken_rules(page: Page, rules: Sequence[str] = ()) -> list[str]:
    """Return the accessibility rules that the page breaks, with the elements; of all rules, or of these."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text())
    only = {"type": "rule", "values": list(rules)} if rules else None
    options: dict[str, Any] = {"resultTypes": ["violations"], **({"runOnly": only} if only else {})}
    found: list[str] = page.evaluate(
        """async (options) => (await axe.run(document, options)).violations.flatMap((rule) => rule.nodes.map(
          (node) => `${rule.id}: ${node.target.join(" ")} ${node.failureSummary}`))""",
        options,
    )
    return found

"""Every page, in both themes, wide and narrow, by keyboard and by screen reader."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser import sagas
from tests.browser.conftest import OpenViewer
from tests.browser.sagas import SCRIPT, STYLES
from tests.browser.viewer import HEIGHT, NARROW, WIDE, beyond_the_edge, broken_rules, cut_off
from tests.e2e.shop import CHOREOGRAPHED, ORCHESTRATED, ORCHESTRATOR, Shop

NOWHERE = "/sagas/orchestrated/01a21726-0000-7000-8000-000000000000"
NOTHING = "/?cart=01a21726-0000-7000-8000-000000000000"
Known = dict[str, dict[str, str]]


@pytest.fixture(scope="package")
def known(_shop: Shop) -> Known:
    """Return the id of a saga of each kind and style."""
    return {kind: {style: make(_shop, style) for style in STYLES} for kind, make in sagas.KINDS.items()}


@pytest.fixture
def paths(_shop: Shop, known: Known) -> list[str]:
    """Return the paths of all pages that are not in the main navigation."""
    of_sagas = [
        f"/sagas/{style}/{known[kind][style]}" for kind, style in zip(("retried", "undone"), STYLES, strict=True)
    ]
    compared = "/compare/{}/{}".format(*(known["declined"][style] for style in STYLES))
    undo = f"/sagas/{ORCHESTRATED}/{known['completed'][ORCHESTRATED]}/compensate"
    receipt = f"/orders/{_shop.saga(known['undone'][CHOREOGRAPHED])['order_id']}/receipt"
    return [*of_sagas, compared, undo, receipt, "/dead-letters/redrive", NOTHING, NOWHERE]


@pytest.fixture
def every_page(viewer: OpenViewer, paths: list[str]) -> Iterator[Page]:
    """Yield each page in turn, in the same tab."""
    one = viewer()
    one.expect_in_console("404")  # the browser's own message about a missing page
    page = one.open("/")
    links = page.get_by_role("navigation", name="Main").get_by_role("link").all()
    main = [link.get_attribute("href") or "" for link in links]
    return _each(page, [*main, *paths])


def _each(page: Page, paths: list[str]) -> Iterator[Page]:
    for path in paths:
        page.goto(path)
        expect(page.locator("main")).to_be_visible()
        yield page


def test_every_page_keeps_the_rules_of_accessibility_in_both_themes(every_page: Iterator[Page]) -> None:
    broken = []
    for page in every_page:
        page.emulate_media(color_scheme="light")
        broken += [f"{page.url}: {each}" for each in broken_rules(page)]
        page.emulate_media(color_scheme="dark")
        broken += [f"{page.url} in the dark: {each}" for each in broken_rules(page, ["color-contrast"])]
    assert broken == []


def test_no_page_is_wider_than_the_window_and_nothing_is_cut_off(every_page: Iterator[Page]) -> None:
    found = []
    for page in every_page:
        for width in (NARROW, WIDE):
            page.set_viewport_size({"width": width, "height": HEIGHT})
            found += [f"{page.url} at {width}: {each}" for each in [*beyond_the_edge(page), *cut_off(page)]]
    assert found == []


def test_the_columns_of_a_receipt_s_two_tables_are_aligned(viewer: OpenViewer, paths: list[str]) -> None:
    page = viewer().open(next(path for path in paths if path.endswith("/receipt")))
    for name in ("Who", "When"):
        headers = page.get_by_role("columnheader", name=name).all()
        first, second = (each.evaluate("each => each.getBoundingClientRect().x") for each in headers)
        assert first == pytest.approx(second, abs=1)


@pytest.mark.parametrize("style", STYLES)
def test_what_people_chose_is_seen_as_text(viewer: OpenViewer, known: Known, style: str) -> None:
    page = viewer().open(f"/sagas/{style}/{known['undone'][style]}")
    expect(page.locator(".banner h2")).to_contain_text(f"Undone by {SCRIPT}: {SCRIPT}")
    expect(page.locator(".fact", has_text="Stock")).to_contain_text(f"1 × {SCRIPT}")  # noqa: RUF001
    page.goto("/")
    expect(page.locator("tr .why", has_text=SCRIPT).first).to_be_visible()
    assert page.locator("main img, main script").count() == 0


def test_ids_are_copied_with_a_click(viewer: OpenViewer, known: Known) -> None:
    saga = known["completed"][ORCHESTRATED]
    page = viewer().open(f"/sagas/{ORCHESTRATED}/{saga}")
    page.get_by_role("button", name=f"Copy {saga}").click()
    expect(page.get_by_role("button", name=f"Copy {saga}")).to_have_text("copied")
    assert page.evaluate("navigator.clipboard.readText()") == saga


def test_times_are_relative_and_exact_ones_are_told_where_one_points(viewer: OpenViewer, known: Known) -> None:
    page = viewer().open("/")
    time = page.locator(f"#s-{known['completed'][CHOREOGRAPHED]} time")
    expect(time).to_contain_text("ago")
    title = time.get_attribute("title") or ""
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}\+00:00", title)


def focused(page: Page) -> str:
    """Describe the focused element, and whether the focus is visible; empty without one."""
    where: str = page.evaluate(
        """() => {
          const each = document.activeElement;
          if (!each || each === document.body) return "";
          const style = getComputedStyle(each), label = each.closest("label");
          const rings = [style, ...(label ? [getComputedStyle(label)] : [])];
          const ring = rings.some((one) => one.outlineStyle !== "none" && parseFloat(one.outlineWidth) >= 2);
          const name = each.getAttribute("aria-label") || each.name || each.textContent.trim();
          return `${ring ? "" : "unseen: "}${each.tagName.toLowerCase()} ${name.slice(0, 60)}`;
        }"""
    )
    return where


def by_keyboard(page: Page) -> list[str]:
    """Return all elements that Tab reaches, in order."""
    reached: list[str] = []
    page.keyboard.press("Tab")
    while (now := focused(page)) and len(reached) < 300:
        reached.append(now)
        page.keyboard.press("Tab")
    return reached


def operable(page: Page) -> int:
    """Count the elements that can be operated; a group of radio buttons is one."""
    number: int = page.evaluate(
        """() => {
          const all = [...document.querySelectorAll("a[href], button, input, select, summary, pre[tabindex]")];
          const there = all.filter((each) => each.checkVisibility() && each.type !== "hidden");
          const radios = there.filter((each) => each.type === "radio");
          return there.length - radios.length + new Set(radios.map((each) => each.name)).size;
        }"""
    )
    return number


def test_everything_is_reached_by_keyboard_and_seen_to_be(viewer: OpenViewer, known: Known) -> None:
    page = viewer().open("/")
    for path in ("/", f"/sagas/{ORCHESTRATED}/{known['retried'][ORCHESTRATED]}", "/compare", "/faults"):
        page.goto(path)
        expected = operable(page)
        reached = by_keyboard(page)
        assert reached[0] == "a Skip to the contents"
        assert [each for each in reached if each.startswith("unseen")] == []
        assert len(reached) == expected


def test_the_keyboard_alone_skips_filters_finds_and_opens(viewer: OpenViewer, known: Known) -> None:
    saga = known["retried"][CHOREOGRAPHED]
    page = viewer().open("/")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null"), "the skip link leads past the navigation"
    page.get_by_label("Id of a saga, cart or order").focus()
    page.keyboard.insert_text(saga)
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text(saga)
    page.get_by_label("to scale").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_label("fold waits")).to_be_checked()
    row = page.locator(".log summary").first
    row.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".log details").first).to_have_attribute("open", "")


def test_an_empty_list_says_what_to_do_next(viewer: OpenViewer) -> None:
    page = viewer().open(NOTHING)
    expect(page.get_by_text("No saga is like that.")).to_be_visible()
    page.get_by_role("link", name="Show all").click()
    expect(page.locator("tbody tr").first).to_be_visible()


def test_an_error_page_says_what_is_not_reachable_and_comes_back_by_itself(
    shop: Shop, viewer: OpenViewer, known: Known
) -> None:
    saga = known["completed"][ORCHESTRATED]
    one = viewer()
    one.expect_in_console("503")
    shop.system.kill(ORCHESTRATOR)
    page = one.open(f"/sagas/{ORCHESTRATED}/{saga}")
    expect(page.get_by_text("saga_orchestrator should answer at")).to_be_visible()
    page.evaluate("window.neverLoadedAgain = true")
    shop.restart(ORCHESTRATOR)
    expect(page.locator("h1")).to_contain_text(saga)
    assert page.evaluate("window.neverLoadedAgain")

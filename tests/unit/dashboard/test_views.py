"""Pages about several sagas equal those that were last reviewed, and escape all text."""

import pytest

from tests.unit.dashboard.text import Text
from tests.unit.dashboard.views import HERE, PAGES, main_of

each_page = pytest.mark.parametrize("name", PAGES)


@each_page
def test_a_page_is_as_it_was_when_somebody_looked(name: str) -> None:
    """`python -m tests.unit.dashboard.views` writes them again."""
    assert main_of(name) == (HERE / f"{name}.html").read_text()


@each_page
def test_a_page_has_no_inline_script_or_style_and_what_users_typed_is_text(name: str) -> None:
    page = PAGES[name]()
    for tag, attributes in Text(page).tags:
        assert "style" not in attributes
        assert not [each for each in attributes if each.startswith("on")]
        assert tag not in {"style", "u"}, "what users typed has one"
        assert tag != "script" or attributes["src"]


@each_page
def test_all_that_can_be_filled_in_has_a_name_for_those_who_do_not_see_it(name: str) -> None:
    page = PAGES[name]()
    labels = page.count("<label")
    tags = Text(page).tags
    fields = [attributes for tag, attributes in tags if tag in {"input", "select"}]
    seen = [each for each in fields if each.get("type") != "hidden" and "aria-label" not in each]
    assert len(seen) <= labels
    drawings = [attributes for tag, attributes in tags if tag == "svg" and attributes.get("role") == "img"]
    assert all(each.get("aria-label") for each in drawings)

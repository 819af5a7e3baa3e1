"""The figures, plots and texts of a comparison, without measuring anything."""

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.compare import __main__ as command
from bench.compare import results
from bench.compare.figures import caught_up, figures_of, middle, most_waiting, outage_figures_of
from bench.compare.page import page_of
from bench.compare.scenarios import FULL, QUICK, SCENARIOS, STYLES
from bench.compare.style import SHEET
from bench.compare.summary import text_of
from bench.compare.svg import Scale, nice_step
from tests.unit.bench.made_up import comparison, course, made_round

CALM, PAGOS_DOWN = (next(each for each in SCENARIOS if each.name == name) for name in ("calm", "pagos-down"))
Said = Callable[..., tuple[int | str | None, str]]
VOID = {"meta", "path", "rect", "circle", "polyline", "br"}


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Said:
    def run(*arguments: str) -> tuple[int | str | None, str]:
        monkeypatch.setattr("sys.argv", ["compare", "--out", str(tmp_path / "report.html"), *arguments])
        try:
            status: int | str | None = command.main()
        except SystemExit as end:
            status = end.code
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    return run


class Page(HTMLParser):
    """The contents of a page: its tags with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_figures_of_rounds_are_their_medians() -> None:
    figures = figures_of([made_round(CALM, "orchestrated", times) for times in (1, 4, 2)])
    assert (figures.per_second, figures.p50_ms, figures.p95_ms) == (10, 200, 380)
    assert figures.cpu_ms == pytest.approx((0.2 + 0.05) * 1000 / 20)
    assert (figures.completed, figures.compensated, figures.undoing_p50_ms) == (60, 0, None)


def test_what_waits_is_what_came_and_has_not_ended() -> None:
    assert most_waiting(course(0.5, 1.5, 9, 9, 9, 9, 9, 9)) == 6
    assert most_waiting(course(0.5, 1.5, 2.5)) == 1


def test_all_is_caught_up_with_when_all_have_ended_that_came_before_the_end_of_the_outage() -> None:
    assert caught_up(course(0.5, 1.5, 7, 8.5, 8, 7, 30, 40, up=5)) == 3.5
    assert caught_up(course(0.5, 1.5, 2.5, up=6)) == 0


def test_what_ended_during_an_outage_is_told_as_a_share_of_what_was_there_then() -> None:
    untouched, one_ended = made_round(PAGOS_DOWN, "orchestrated"), course(0.5, 1.5, 5, 7, 8, 9, 10)
    assert outage_figures_of([replace(untouched, course=one_ended)]).ended_meanwhile == 0.25
    figures = outage_figures_of([untouched])
    assert figures.down_for == 4
    assert figures.ended_meanwhile == 0
    assert figures.waiting == 5
    assert figures.caught_up == pytest.approx(7)


def test_the_round_that_is_drawn_is_the_middle_one() -> None:
    rounds = [made_round(PAGOS_DOWN, "orchestrated", times) for times in (3, 1, 2)]
    assert middle(rounds) is rounds[2]


@pytest.mark.parametrize("extent", [FULL, QUICK])
def test_the_styles_take_turns_and_each_is_first_in_turn(extent: object) -> None:
    assert extent in (FULL, QUICK)
    cases = [style for scenario, style in FULL.cases() if scenario is CALM]
    assert cases == [*STYLES, *STYLES[::-1], *STYLES, *STYLES[::-1], *STYLES]


@pytest.mark.parametrize(("least", "step"), [(0.9, 1), (1, 1), (1.1, 2), (3, 5), (7, 10), (0.03, 0.05), (130, 200)])
def test_an_axis_counts_in_round_steps(least: float, step: float) -> None:
    assert nice_step(least) == pytest.approx(step)


def test_equal_ratios_are_equally_far_apart_on_a_logarithmic_scale() -> None:
    scale = Scale(1, 100, 0, 200, log=True)
    assert [scale(value) for value in (1, 10, 100, 1000)] == pytest.approx([0, 100, 200, 200])
    assert scale.ticks() == [1, 2, 5, 10, 20, 50, 100]


def test_a_report_loads_nothing_and_runs_nothing() -> None:
    html = page_of(comparison())
    assert re.findall(r"https?:|//|url\(|@import|<script|<link|<iframe|\bsrc=|\bhref=|\son\w+=", html) == []


def test_a_report_is_well_formed_and_shows_every_scenario_and_style() -> None:
    page = Page(page_of(comparison()))
    for scenario in SCENARIOS:
        assert scenario.title in page.text
    drawings = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert len(drawings) == 2 + 4 + 4 + 2
    assert all(each["role"] == "img" and each["aria-label"] for each in drawings)
    classes = {name for _, attributes in page.tags for name in (attributes.get("class") or "").split()}
    assert classes >= {*STYLES, "arrived", "clean"}


def test_every_drawing_is_xml_with_numbers_within_its_frame() -> None:
    for drawing in re.findall(r"<svg.*?</svg>", page_of(comparison())):
        root = ElementTree.fromstring(drawing)
        width, height = map(float, root.attrib["viewBox"].split()[2:])
        for mark in root.iter("text"):
            assert 0 <= float(mark.attrib["x"]) <= width, mark.text
            assert 0 <= float(mark.attrib["y"]) <= height, mark.text


def test_a_report_has_the_dashboards_colours_in_both_themes() -> None:
    html = page_of(comparison())
    for colour in re.findall(r"--(?:running|undone|card|ink):#\w+", SHEET.read_text()):
        assert colour in html
    assert "prefers-color-scheme:dark" in html


def test_what_a_machine_is_called_is_text() -> None:
    assert "<b>2 cores" not in page_of(comparison(machine="<b>2 cores"))


def test_a_report_of_books_that_do_not_balance_says_so_first() -> None:
    page = Page(page_of(comparison(clean=False)))
    assert page.text.index("should not be") < page.text.index("Under load")


def test_the_tables_for_a_terminal_tell_ratios_within_the_run() -> None:
    text = text_of(comparison())
    assert re.search(r"Calm +orchestrated +18\.2 ", text)
    ratios = next(line for line in text.splitlines() if line.split()[:1] == ["x"])
    assert ratios.split()[1:5] == ["0.67", "1.50", "1.50", "1.50"]
    assert re.search(r"pagos is down +orchestrated +4\.0 +0% ", text)


def test_what_was_measured_can_be_kept_and_shown_again(said: Said, tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    comparison().save(kept)
    assert results.load(kept) == comparison()
    status, text = said("--load", str(kept))
    assert status == 0
    assert "Under load" in text
    assert (tmp_path / "report.html").read_text() == page_of(comparison())


def test_scenarios_that_were_measured_in_several_runs_can_be_shown_together(said: Said, tmp_path: Path) -> None:
    whole, files = comparison(), [tmp_path / "calm.json", tmp_path / "rest.json"]
    parts = [[each for each in whole.rounds if (each.scenario == "calm") is calm] for calm in (True, False)]
    for file, rounds in zip(files, parts, strict=True):
        replace(whole, rounds=tuple(rounds)).save(file)
    assert said("--load", *map(str, files))[0] == 0
    assert (tmp_path / "report.html").read_text() == page_of(whole)


def test_the_main_plots_can_be_had_as_pictures_that_load_nothing(said: Said, tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    comparison().save(kept)
    assert said("--load", str(kept), "--pictures", str(tmp_path / "images"))[0] == 0
    for theme, ground in (("light", "#FFF;"), ("dark", "#151A21;")):
        picture = (tmp_path / "images" / f"compare-{theme}.svg").read_text()
        assert len(ElementTree.fromstring(picture).findall("{http://www.w3.org/2000/svg}svg")) == 5
        assert re.findall(r"--card:(#\w+;)", picture)[-1] == ground
        assert re.findall(r"url\(|@import|\bhref=", picture) == []


def test_books_that_do_not_balance_fail_it(said: Said, tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    comparison(clean=False).save(kept)
    assert said("--load", str(kept))[0] == 1


def test_what_holds_no_comparison_is_refused(said: Said, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}")
    status, text = said("--load", str(tmp_path / "other.json"))
    assert status == 1
    assert "other.json holds no comparison" in text


def test_a_scenario_that_there_is_not_is_refused_by_name(said: Said) -> None:
    status, text = said("--only", "calm,sunday")
    assert status == 1
    assert "No such scenario: sunday. There are: calm, hot," in text


def test_a_folder_in_which_something_is_is_left_alone(said: Said, tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    status, text = said("--home", str(tmp_path))
    assert status == 1
    assert "is not empty" in text
    assert (tmp_path / "mine").exists()

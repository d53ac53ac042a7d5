"""Pages need nothing else, and whatever names hold does nothing in them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup
from tiny_models import tiny_alone

from automl_tl.cli import main
from automl_tl.errors import OptionError
from automl_tl.report.charts.progress import progress_chart
from automl_tl.report.page import SEARCHED, render, write
from automl_tl.report.parts import Chart, Facts, Gallery, Grid, Number, Page, Section, Sentences, Thumbnail

COMMANDS = ("inspect", "recommend", "labels", "search", "train", "evaluate")
VOID = {"meta", "input", "img", "br", "link"}


class Reading(HTMLParser):
    """What a browser would find: elements, addresses, text; elements must be closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.images: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "action")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        self.images += [dict(attrs).get("alt") or "" for _ in range(tag == "img")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(path: Path) -> tuple[str, Reading]:
    text = path.read_text(encoding="utf-8")
    return text, Reading(text)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_page_is_one_whole_file(pages: Mapping[str, Path], command: str) -> None:
    text, found = read(pages[command])
    assert found.open == []
    assert text.startswith("<!doctype html>")
    assert all(address.startswith(("#", "data:image/jpeg;base64,")) for address in found.addresses)
    assert "@import" not in text
    assert {"link", "iframe", "object", "form"}.isdisjoint(found.tags)
    assert "default-src 'none'" in text
    assert len(text) < 1_000_000
    assert [one.name for one in pages[command].parent.glob(".*")] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_what_names_hold_does_nothing(pages: Mapping[str, Path], command: str) -> None:
    text, found = read(pages[command])
    assert found.tags.count("script") == 1  # the page's own
    assert found.handlers == []
    assert "owned'</script>" not in text
    assert "\u202e" not in text
    assert "<script>document.title='owned'</script>" in found.text  # shown as it is
    assert "line\\nbreak \\u202eright to left\\u202c" in found.text
    assert "{{ 7 * 7 }}" in found.text  # no template within the template


def test_pictures_are_shown_with_their_classes(pages: Mapping[str, Path]) -> None:
    _, found = read(pages["recommend"])
    assert len(found.images) == 12
    assert len(set(found.images)) == 4


@pytest.mark.parametrize(
    ("command", "titles"),
    [
        ("inspect", ("The data", "Duplicates", "Left out", "Where this comes from")),
        (
            "recommend",
            ("What to do", "Why", "The four strategies", "Frozen features", "What is taken for what", "Next"),
        ),
        ("labels", ("The labels", "Duplicates", "What is taken for what", "Classes", "Where this comes from")),
        ("search", ("The model", "The search", "Leaderboard", "The model's parameters", "How sure it may be", "Next")),
        ("train", ("The model", "How good it is", "The training", "Classes", "Augmentation", "The data", "Next")),
        ("evaluate", ("How good it is", "What is taken for what", "How sure it may be", "Classes")),
    ],
)
def test_every_section_is_there(pages: Mapping[str, Path], command: str, titles: tuple[str, ...]) -> None:
    text, _ = read(pages[command])
    there = [unescape(title) for title in re.findall(r"<h2>(.*?)</h2>", text)]
    assert [title for title in there if title in titles] == list(titles)


def test_a_split_is_only_given_where_it_is(pages: Mapping[str, Path], pictures: Path, tmp_path: Path) -> None:
    assert "given split" in read(pages["recommend"])[1].text
    with tiny_alone():
        arguments = ["recommend", str(pictures), "--device", "cpu", "--report", str(tmp_path / "page.html")]
        assert CliRunner().invoke(main, arguments).exit_code == 0
    assert "given split" not in read(tmp_path / "page.html")[1].text


def test_charts_are_of_the_page(pages: Mapping[str, Path]) -> None:
    expected = {"inspect": 1, "recommend": 6, "search": 7, "evaluate": 2}
    for command, least in expected.items():
        text, found = read(pages[command])
        assert found.tags.count("svg") >= least, command
        assert "#fe00" not in text  # every colour is a variable of the page
        assert "var(--accent)" in text


def test_a_file_that_cannot_be_written_is_refused_before_anything_is_computed(pictures: Path, tmp_path: Path) -> None:
    for bad in (tmp_path / "missing" / "page.html", tmp_path):
        result = CliRunner().invoke(main, ["inspect", str(pictures), "--report", str(bad)])
        assert result.exit_code == 2
        assert "report" in result.output
        assert "Reading pictures" not in result.output
    with pytest.raises(OptionError, match="cannot be written"):
        write(Page("title", "decision", None, ()), tmp_path / "missing" / "page.html")


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_stays_text(text: str) -> None:
    plain, found = Reading(render(_page("a"))), Reading(render(_page(text)))
    assert found.open == []
    assert found.handlers == []
    assert found.tags == plain.tags


def _page(text: str) -> Page:
    parts = (
        Facts(((text, text),)),
        Sentences((text,)),
        Grid((text,), ((text,), (Number(text, 1.0),)), f"about {text}"),
        Gallery((Thumbnail("data:image/jpeg;base64,", text),), f"about {text}"),
    )
    return Page(text, text, None, (Section(text, parts, f"about {text}"), None))


def test_ten_thousand_pictures_and_two_thousand_trials_fit() -> None:
    trials = tuple((Number(str(n), n), "complete", *[Number(f"{n / 7:.4g}", n / 7)] * 25) for n in range(2000))
    files = tuple((f"class/{n:05d}.jpg" * 3, "truncated or damaged") for n in range(2000))
    grids = [Grid(("n",) * 27, trials), Grid(("file", "why"), files), Grid(("file", "why"), files)]
    table = pd.DataFrame(
        {"number": range(2000), "kind": "trial", "strategy": "fine_tuning", "seconds": 2.5}
        | {"accuracy": np.linspace(0, 1, 2000)}
    )
    chart = Chart(progress_chart(table, "accuracy") or Markup(), "")
    page = render(Page("", "", chart, tuple(Section("", (grid,)) for grid in grids)))
    assert len(page.encode()) < 10_000_000
    assert page.count('type="search"') == 3


def test_only_long_tables_are_searched() -> None:
    for n, searched in ((SEARCHED - 1, 0), (SEARCHED, 1)):
        page = render(Page("", "", None, (Section("", (Grid(("a",), (("b",),) * n),)),)))
        assert page.count('type="search"') == searched

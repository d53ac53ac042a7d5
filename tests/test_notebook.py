"""Results show in a notebook as whole, inert HTML."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import is_dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from generated_pictures import write_pictures
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import tiny_alone

import automl_tl
from automl_tl.notebook import html_table

HOSTILE = "<script>alert('x')</script>\u202e&"
RESULTS = [
    name for name in automl_tl.__all__ if is_dataclass(one := getattr(automl_tl, name)) and hasattr(one, "to_dict")
]


class Reading(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not attrs
        self.tags.add(tag)
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_text_stays_text(name: str, text: str) -> None:
    found = Reading(html_table(text, [(name, text)]))
    assert found.tags == {"table", "caption", "tr", "th", "td"}
    assert found.open == []


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """One result of every public kind, of a data set with a hostile class."""
    folder = tmp_path_factory.mktemp("notebook")
    classes = ("apple", "leaf", "sky <b>")
    data = write_pictures(folder / "pictures", classes=classes, per_class=12)
    with tiny_alone(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOML_TL_CACHE_DIR", str(folder / "cache"))
        (data / "apple" / "000.png").rename(data / "sky <b>" / "wrong.png")
        recommendation = automl_tl.recommend(data, device="cpu")
        labels = automl_tl.labels(data, device="cpu")
        yield {
            "Recommendation": recommendation,
            "SearchResult": automl_tl.search(data, device="cpu", trials=1, out=folder / "search"),
            "TrainResult": automl_tl.train(data, device="cpu", out=folder / "train", strategy="feature_extractor"),
            "LabelReport": labels,
            "Evaluation": labels.evaluation,
            "QualityReport": recommendation.report,
        }


def test_every_result_is_here(results: dict[str, Any]) -> None:
    assert set(RESULTS) <= set(results)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Recommendation", "strategy"),
        ("SearchResult", "expected"),
        ("TrainResult", "validation"),
        ("LabelReport", "sky <b>: rather apple"),
        ("Evaluation", "accuracy97.2%"),
        ("QualityReport", "pictures36 in 3 classes"),
    ],
)
def test_a_result_is_a_table(results: dict[str, Any], name: str, said: str) -> None:
    found = Reading(results[name]._repr_html_())
    assert said in found.text
    assert found.open == []


def test_what_a_result_holds_does_nothing(results: dict[str, Any], tmp_path: Path) -> None:
    for name in ("Recommendation", "SearchResult", "TrainResult", "LabelReport"):
        hostile = replace(results[name], path=HOSTILE, notes=(HOSTILE,))
        found = Reading(hostile._repr_html_())
        assert "script" not in found.tags
        assert "<script>alert('x')</script>\\u202e&" in found.text

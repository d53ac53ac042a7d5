"""Charts say what they were given, in well-formed SVG."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup
from matplotlib.figure import Figure

from automl_tl.domain.similarity import Domain
from automl_tl.lab.findings import Screened
from automl_tl.lab.matrix import Borders, judge_size, place
from automl_tl.monitor import Epoch
from automl_tl.report.charts import drawing, matrix
from automl_tl.report.charts.bars import bar_chart
from automl_tl.report.charts.calibration import calibration_chart
from automl_tl.report.charts.confusion import confused_pairs, confusion_chart, opacity
from automl_tl.report.charts.depth import depth_chart
from automl_tl.report.charts.drawing import told_apart
from automl_tl.report.charts.epochs import loss_chart, score_chart
from automl_tl.report.charts.matrix import MOST_NAMED, matrix_chart
from automl_tl.report.charts.probe import probe_chart
from automl_tl.report.charts.progress import best_so_far, progress_chart
from automl_tl.report.landmarks import landmarks
from automl_tl.report.mistakes import confusion_parts
from automl_tl.report.parts import Chart, Grid, Sentences

HOSTILE = '<b>"$x^2$" & \'\u202e'
SIZE = judge_size(100, 10, 4_000_000, Borders(1000, 0.5, 0.5, 1500))


def domain(
    by_depth: tuple[float, ...] = (0.1, 0.3), depth: float | None = 0.2, different: float | None = 0.7
) -> Domain:
    return Domain(
        "tiny", 0.2, "depth", None, "borderline", 0.7, different, "weights", by_depth, depth, agree=True
    )  # fmt: skip


def texts(svg: Markup) -> list[str]:
    """Return the texts of a chart, which must be well-formed."""
    root = ElementTree.fromstring(svg.replace("xlink:href", "href"))
    return [element.text or "" for element in root.iter() if element.tag.endswith("text")]


def test_names_are_text_and_numbers_stand_beside_them() -> None:
    shown = texts(bar_chart(HOSTILE, [(HOSTILE, 0.25), ("n" * 300, 0.125)], shares=True))
    assert '<b>"$x^2$" & \'\\u202e' in shown
    assert "n" * 23 + "…" in shown
    assert {"25%", "12%"} <= set(shown)


@pytest.mark.parametrize("name", ['x id="a_1" y', "#fe0001", 'q id="told:HI" r', "<g>", 'a" > <use /> b'])
def test_a_name_that_looks_like_a_part_of_a_drawing_stays_a_name(name: str) -> None:
    svg = bar_chart("names", [(name, 3.0), ("b", 1.0)])
    assert name in texts(svg)
    assert titles(svg) == []
    told = titles(probe_chart([Screened(name, 9, (4,), "mean", "ridge", 0.5, 0.1)], name))
    assert told == [f"{name}, cut 4 of 9, mean: 50.0%"]


@given(st.lists(st.text("ab_ ", min_size=1, max_size=30), unique=True, max_size=8), st.integers(4, 24))
def test_different_names_stay_different(names: list[str], most: int) -> None:
    shown = told_apart(names, most)
    assert len(set(shown)) == len(names)
    assert all(own == name for own, name in zip(shown, names, strict=True) if len(name) <= most and own[-1] != ")")


def test_the_data_set_lies_in_its_cell() -> None:
    svg = matrix_chart(SIZE, domain(), place(0.1, 0.7), landmarks(SIZE))
    assert "your 100 pictures" in texts(svg)
    named = {one.name for one in landmarks(SIZE)} & set(texts(svg))
    assert {"clothing", "trashnet"} <= named
    assert len(named) <= MOST_NAMED
    assert "the data set lies in the cell early_feature_extractor" in svg
    assert "in no cell" in matrix_chart(SIZE, domain(different=None), place(0.1, None), ())


@pytest.mark.parametrize("border", [0.5, 0.98])
def test_no_name_of_a_data_set_covers_that_of_a_cell(border: float) -> None:
    """Wherever the border lies, beside which the names of cells stand."""
    of_cells = place(0.1, 0.7, border)
    axes = Figure().subplots()
    matrix._draw_cells(axes, of_cells, 0.05, 200.0)
    for text, box in zip(axes.texts, matrix._cell_boxes(of_cells), strict=True):
        _, y = text.get_position()
        edge = box.bottom if text.get_va() == "bottom" else box.top
        assert edge == pytest.approx(y * matrix._HEIGHT)
    assert len(axes.texts) == 4


def titles(svg: Markup) -> list[str]:
    """Return what a pointer is told, in the order of the marks."""
    root = ElementTree.fromstring(svg.replace("xlink:href", "href"))
    return [element[0].text or "" for element in root.iter() if element.tag.endswith("use") and len(element)]


def test_a_pointer_is_told_what_a_dot_is() -> None:
    told = titles(matrix_chart(SIZE, domain(), place(0.1, 0.7), landmarks(SIZE)))
    assert sorted(told) == sorted(f"{one.name}, {one.n_images:,} pictures" for one in landmarks(SIZE))
    probe = [
        Screened(HOSTILE, 9, (7, 8), "grid", "ridge", 0.99, 0.02),
        Screened("b", 9, (4,), "mean", "ridge", 0.5, 0.1),
    ]
    shown = '<b>"$x^2$" & \'\\u202e'
    assert titles(probe_chart(probe, "b")) == [
        "b, cut 4 of 9, mean: 50.0%", f"{shown}, cut 7+8 of 9, grid: 99.0%",
    ]  # fmt: skip


def test_landmarks_are_where_they_were_measured() -> None:
    known = {(one.name, one.n_images): one for one in landmarks(SIZE)}
    assert known["clothing", 100].different < 0.5 < known["blood wbc", 40].different
    assert known["clothing", 100].ratio == pytest.approx(SIZE.ratio)
    assert known["clothing", 50].ratio == pytest.approx(SIZE.ratio / 2)
    assert all(0 <= one.different <= 1 for one in known.values())


def test_without_a_profile_there_is_no_chart_by_depth() -> None:
    assert depth_chart([domain((float("nan"),) * 3)], "tiny") is None
    assert depth_chart([domain()], "other") is None
    assert "tiny" in texts(depth_chart([domain()], "tiny") or Markup())


def test_the_confusion_matrix_has_every_count() -> None:
    counts = np.array([[7, 3], [0, 11]])
    shown = texts(confusion_chart(counts, ["a", HOSTILE]))
    assert {"7", "3", "11", "a"} <= set(shown)
    assert "0" not in shown
    assert confused_pairs(counts, ["a", "b"], 5) == [("a", "b", 3, 10)]


def test_calibration_takes_certain_and_hopeless_answers() -> None:
    svg = calibration_chart(np.array([True, False, True]), np.array([1.0, 0.001, 0.5]))
    assert {"confidence", "accuracy"} <= set(texts(svg))


@pytest.mark.parametrize("metric", ["accuracy", "log_loss"])
def test_the_best_so_far_takes_what_was_scored(metric: str) -> None:
    table = pd.DataFrame(
        {
            "number": [2, 0, 1],
            "kind": ["trial", "sweep", "trial"],
            "strategy": ["fine_tuning", "feature_extractor", "feature_extractor"],
            "seconds": [30.0, 0.0, np.nan],
            metric: [0.9, 0.5, np.nan],
        }
    )
    shown = texts(progress_chart(table, metric) or Markup())
    assert {"the sweep", "trained trial", "best so far"} <= set(shown)
    assert "frozen trial" not in shown
    told = ["sweep 0, feature_extractor: 0.5", "trial 2, fine_tuning: 0.9"]
    assert titles(progress_chart(table, metric) or Markup()) == told
    assert progress_chart(table.assign(**{metric: np.nan}), metric) is None


def test_the_best_so_far_is_that_of_the_sample_at_the_time() -> None:
    scored = pd.DataFrame({"accuracy": [0.5, 0.7, 0.6, 0.4, 0.45], "pictures": [24, 24, 24, 60, 60]})
    assert best_so_far(scored, "accuracy").tolist() == [0.5, 0.7, 0.7, 0.4, 0.45]
    losses = scored.rename(columns={"accuracy": "log_loss"})
    assert best_so_far(losses, "log_loss").tolist() == [0.5, 0.5, 0.5, 0.4, 0.4]


def colours_of(scheme: str) -> dict[str, np.ndarray]:
    """Return the page's colours in a scheme, float (3,) from 0 to 1 each."""
    sheet = (Path(drawing.__file__).parents[1] / "templates" / "page.css").read_text()
    light, dark = sheet.split("@media (prefers-color-scheme: dark)")[:2]
    found = re.findall(r"--(\w+): #(\w{6})", (light if scheme == "light" else dark).split("@media")[0])
    return {name: np.array([int(code[at : at + 2], 16) for at in (0, 2, 4)]) / 255 for name, code in found}


def luminance(colour: np.ndarray) -> float:
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_counts_in_the_confusion_matrix_can_be_read(scheme: str, share: float) -> None:
    """WCAG 2.2 asks for a contrast of 4.5 between small text and what is behind it."""
    colours = colours_of(scheme)
    for fill in ("accent", "second"):
        behind = opacity(share) * colours[fill] + (1 - opacity(share)) * colours["paper"]
        light, dark = sorted((luminance(colours["ink"]), luminance(behind)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_epochs_are_drawn_by_run_and_scores_where_there_are_any() -> None:
    looked_at = [Epoch(n, 4, n / 4, 1 / n, 1e-3, n, 0.5 if n % 2 == 0 else None) for n in range(1, 5)]
    alone = [Epoch(1, 4, 0.25, 1.0, 1e-3, 1.0)]
    shown = texts(loss_chart({"trial 7": looked_at, HOSTILE: alone}))
    assert {"epoch", "loss", "trial 7"} <= set(shown)
    assert "accuracy" in texts(score_chart({"trial 7": looked_at}, "accuracy") or Markup())
    assert score_chart({"trial 7": alone}, "accuracy") is None


@pytest.mark.parametrize(("n", "kinds"), [(3, [Chart]), (30, [Sentences])])
def test_without_a_mistake_something_is_said(n: int, kinds: list[type]) -> None:
    counts, classes = 5 * np.eye(n, dtype=int), [f"c{number}" for number in range(n)]
    assert [type(part) for part in confusion_parts(counts, classes, "")] == kinds
    counts[0, 1] = 2
    assert type(confusion_parts(counts, classes, "")[-1]) is Grid

"""The page of `evaluate` shows where a model errs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from automl_tl.data.dataset import open_dataset
from automl_tl.data.decode import Preprocessing
from automl_tl.model.evaluation import evaluate_probabilities
from automl_tl.report.evaluation import evaluation_page
from automl_tl.report.parts import Gallery, Grid, Page
from automl_tl.report.provenance import Provenance


def page(pictures: Path, probabilities: np.ndarray) -> Page:
    dataset = open_dataset(pictures)
    result = evaluate_probabilities(np.repeat([0, 1, 2], 6), probabilities, dataset.classes)
    result = replace(result, paths=tuple(dataset.frame["path"]))
    return evaluation_page(result, dataset, Preprocessing(32, "squash"), "bundle", Provenance("command", "cpu"))


def test_mistakes_are_shown_the_worst_first(pictures: Path) -> None:
    probabilities = np.repeat(np.eye(3) * 0.7 + 0.1, 6, axis=0)
    probabilities[0] = 0.05, 0.9, 0.05
    probabilities[17] = 0.01, 0.94, 0.05
    probabilities[8] = 0.5, 0.4, 0.1
    sections = {one.title: one.parts[0] for one in page(pictures, probabilities).sections if one}
    gallery, grid = sections["The most confident mistakes"], sections["The largest losses"]
    assert isinstance(gallery, Gallery)
    assert [one.caption.split(" (")[1] for one in gallery.pictures] == ["94% sure)", "90% sure)", "50% sure)"]
    assert isinstance(grid, Grid)
    assert [row[:3] for row in grid.rows] == [
        ("apple/000.png", "apple", "leaf"),
        ("sky/005.png", "sky", "leaf"),
        ("leaf/002.png", "leaf", "apple"),
    ]
    assert grid.caption == ""


def test_without_mistakes_there_is_no_such_section(pictures: Path) -> None:
    titles = [one.title for one in page(pictures, np.repeat(np.eye(3) * 0.7 + 0.1, 6, axis=0)).sections if one]
    assert "Classes" in titles
    assert {"The most confident mistakes", "The largest losses"}.isdisjoint(titles)

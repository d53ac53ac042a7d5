"""The page of `evaluate`: how good a model is on labelled pictures, and where it errs."""

from __future__ import annotations

import math

import numpy as np

from automl_tl.data.dataset import ImageDataset
from automl_tl.data.decode import Preprocessing
from automl_tl.data.source import Source
from automl_tl.model.evaluation import ClassResult, Evaluation
from automl_tl.report.charts.calibration import BINS, calibration_chart
from automl_tl.report.data import left_out, notes
from automl_tl.report.facts.evaluation import about_evaluation
from automl_tl.report.mistakes import answers_grid, confusion_parts
from automl_tl.report.parts import Chart, Facts, Gallery, Grid, Number, Page, Section
from automl_tl.report.provenance import Provenance
from automl_tl.report.thumbnails import MOST, as_seen, named

MOST_LOSSES = 100


def evaluation_page(
    result: Evaluation, dataset: ImageDataset, how: Preprocessing, bundle: str, provenance: Provenance
) -> Page:
    """Return the page.

    Args:
        result: the evaluation.
        dataset: that it was made on.
        how: pictures are prepared for the model.
        bundle: of the model.
        provenance: of the result.
    """
    decision = (
        f"{result.accuracy:.1%} of {result.n:,} pictures are recognised; "
        f"every class counting the same, {result.balanced_accuracy:.1%}."
    )
    sections = (
        Section("How good it is", (Facts((("model", bundle), *about_evaluation(result))),)),
        *evaluation_sections(result),
        surest_mistakes(result, dataset, how),
        _largest_losses(result, dataset),
        left_out(dataset, (*result.errors, *dataset.skipped)),
        notes(result.notes),
        provenance.section(),
    )
    return Page(f"Evaluation on {dataset.root}", decision, None, sections)


def evaluation_sections(result: Evaluation, whose: str = "") -> tuple[Section, Section, Section]:
    """Return confusion, calibration and classes; `whose` says of which pictures where that is not plain."""
    ordered = sorted(result.per_class, key=lambda one: (math.isnan(one.recall), one.recall, one.label))
    grid = Grid(("class", "recall", "precision", "F1", "pictures"), tuple(map(_class, ordered)))
    right, confidence = result.right, result.probabilities.max(axis=1)
    caption = (
        "A model that is as sure as it should be lies on the dashed line; below it, it is too sure. A dot's size is "
        f"its share of the pictures in each of {BINS} equal parts, bars are one standard error."
    )
    return (
        Section("What is taken for what", confusion_parts(result.confusion, result.classes, whose)),
        Section("How sure it may be", (Chart(calibration_chart(right, confidence), caption),)),
        Section("Classes", (grid,), "The classes that are recognised worst come first."),
    )


def _class(one: ClassResult) -> tuple[str | Number, ...]:
    return one.label, _share(one.recall), _share(one.precision), _share(one.f1), Number(f"{one.n:,}", one.n)


def _share(value: float) -> Number:
    return Number("-", -1.0) if math.isnan(value) else Number(f"{value:.1%}", value)


def surest_mistakes(result: Evaluation, dataset: ImageDataset, how: Preprocessing) -> Section | None:
    """Return the pictures in which the answer was most confident and wrong; None where none was wrong."""
    wrong = np.flatnonzero(~result.right)
    surest = wrong[np.argsort(-result.probabilities[wrong].max(axis=1), kind="stable")][:MOST]
    pictures = tuple(as_seen(_captioned(result, dataset, surest), how))
    lead = "Where the model was surest and wrong: labels that are wrong show here as well."
    return Section("The most confident mistakes", (Gallery(pictures, ""),), lead) if pictures else None


def _largest_losses(result: Evaluation, dataset: ImageDataset) -> Section | None:
    wrong = [answer for answer in result.by_loss() if answer.predicted != answer.given]
    lead = "The pictures whose own class was least expected; evaluate --errors FILE.csv writes every picture's answer."
    return Section("The largest losses", (answers_grid(wrong, dataset, MOST_LOSSES),), lead) if wrong else None


def _captioned(result: Evaluation, dataset: ImageDataset, rows: np.ndarray) -> list[tuple[Source, str]]:
    captions = [
        (one.path, f"{one.given} taken for {one.predicted} ({one.confidence:.0%} sure)") for one in result.answers(rows)
    ]
    return named(dataset, captions)

"""What is taken for what, and in which pictures, as parts of a page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from automl_tl.data.dataset import ImageDataset
from automl_tl.model.evaluation import Answer
from automl_tl.report.charts.confusion import LARGEST, confused_pairs, confusion_chart
from automl_tl.report.parts import Cell, Chart, Grid, Number, Part, Sentences

MOST_PAIRS = 100


def confusion_parts(counts: np.ndarray, classes: Sequence[str], whose: str) -> tuple[Part, ...]:
    """Return the confusion matrix where it can be read, and the most frequent pairs, which any reader can reach.

    Args:
        counts: int (C, C), pictures by true class (rows) and predicted class (columns).
        classes: C labels.
        whose: what the counts are of, a sentence.
    """
    matrix: tuple[Part, ...] = ()
    if len(classes) <= LARGEST:
        matrix = (Chart(confusion_chart(counts, classes), f"{whose} Rows are the true classes."),)
    rows = tuple(
        (true, predicted, Number(f"{n:,}", n), Number(f"{n / of:.0%}", n / of))
        for true, predicted, n, of in confused_pairs(counts, classes, MOST_PAIRS)
    )
    if not rows:
        return matrix or (Sentences(("No class is taken for another.",)),)
    return (*matrix, Grid(("true class", "taken for", "pictures", "share of the class"), rows, whose))


def answers_grid(answers: Sequence[Answer], dataset: ImageDataset, most: int) -> Grid:
    """Return the first `most` answers, in their order."""
    cut = f"The first {most:,} of {len(answers):,}." if len(answers) > most else ""
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            dataset.short(one.path),
            one.given,
            one.predicted,
            Number(f"{one.confidence:.1%}", one.confidence),
            Number(f"{one.given_probability:.1%}", one.given_probability),
        )
        for one in answers[:most]
    )
    return Grid(("picture", "given", "predicted", "confidence", "probability of given"), rows, cut)

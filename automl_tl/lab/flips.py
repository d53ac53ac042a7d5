"""Whether a flip changes what a picture means, judged by classifiers that saw neither version of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from automl_tl.lab.evidence import Candidate
from automl_tl.lab.sample import Sample
from automl_tl.learning.estimate import paired_gain
from automl_tl.learning.screen import solve_ridge

FLIPS = "trying whether flips keep the label (none are used)"
MAX_PICTURES = 100
_HARM = 0.02
"""Harm that is called none, whatever the noise: two points."""
_LARGEST_HARM = 0.05
"""Harm that is too much, whatever the noise."""
_STDERRS = 1.64
"""Standard errors within which a harm is noise: a flip that keeps the label is refused in 5% of draws, but for the
bound. With one standard error photos of clothes were not mirrored in three of six draws of 50 and 100, with these in
none, letters and cells in one of six, in three before; upside down clothes, faces and hand signs are refused in all
of them either way."""


@dataclass(frozen=True)
class FlipHarm:
    """What one flip costs: accuracy on pictures as they are, minus accuracy on the same ones flipped."""

    view: str
    """"hflip" or "vflip"."""
    harm: float
    stderr: float
    n: int

    @property
    def allowed(self) -> bool:
        """Whether the flip may be used: its harm is within noise, and small if it is all noise."""
        return self.harm <= self.let_pass

    @property
    def let_pass(self) -> float:
        """Harm that counts as none: what may be noise, within bounds."""
        return min(max(_HARM, _STDERRS * self.stderr), _LARGEST_HARM)


def judge_flips(
    screened: Candidate, X: np.ndarray, sample: Sample, rows: np.ndarray, flipped: Mapping[str, np.ndarray]
) -> tuple[FlipHarm, ...]:
    """Return the harm of every flip.

    Args:
        screened: the ridge classifier to judge by, and the pictures that it learns from; it is solved once per
            fold, without that fold.
        X: float (n, d), features of the whole sample.
        sample: n pictures.
        rows: int (m,), the pictures that were flipped.
        flipped: by view, float (m, d), their features.
    """
    views = {"plain": X[rows], **flipped}
    right = {view: np.zeros(len(rows), bool) for view in views}
    y = sample.y[rows]
    for fold in np.unique(sample.folds[rows]):
        learned = screened.rows[sample.folds[screened.rows] != fold]
        head = solve_ridge(X[learned], sample.y[learned], len(sample.classes), screened.path.penalty)
        here = sample.folds[rows] == fold
        for view, values in views.items():
            right[view][here] = head.predict(values[here]) == y[here]
    return tuple(flip_harm(view, right["plain"], right[view], sample.groups[rows]) for view in flipped)


def flip_harm(view: str, plain: np.ndarray, flipped: np.ndarray, groups: np.ndarray | None = None) -> FlipHarm:
    """Return the harm of a flip from the answers on the same pictures.

    Args:
        view: "hflip" or "vflip".
        plain: bool (n,), whether each picture was classified rightly as it is.
        flipped: bool (n,), the same for the flipped pictures.
        groups: int (n,), pictures that belong together; None: none do.
    """
    gain, stderr = paired_gain(plain, flipped, groups)
    return FlipHarm(view, -gain, stderr, len(plain))

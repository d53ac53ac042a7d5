"""The learning curve of a source: how accuracy grows with the number of pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from automl_tl.learning.problem import Problem
from automl_tl.learning.ridge import one_against_rest, solve_positive
from automl_tl.learning.spectrum import as_spectrum
from automl_tl.learning.threads import threads_for

# Exponents b of the power law that are tried. Below .15 a curve cannot be told from a flat one, above 1.5 the
# first doubling has done everything; most published curves lie near .5 (Hestness et al. 2017, arXiv 1712.00409).
EXPONENTS = np.geomspace(0.15, 1.5, 24)
TYPICAL, SPREAD = 0.5, 0.6
DRAWS = 200
SHARES = (0.25, 0.4, 0.65, 1.0)
"""Of the training pictures of a fold, on which it is measured."""


@dataclass(frozen=True)
class LearningCurve:
    """Accuracy against the number of training pictures, and the power law error(n) = c + a n^-b through it.

    sizes: (J,) mean number of training pictures, ascending; accuracy: (J,), measured out of fold.
    law: (3,) c, a, b; 0 <= c <= 1, a >= 0, .15 <= b <= 1.5.
    draws: (DRAWS, 3) laws through the curves of resampled pictures: the law's uncertainty.
    """

    sizes: np.ndarray
    accuracy: np.ndarray
    law: np.ndarray
    draws: np.ndarray

    @property
    def is_measured(self) -> bool:
        """Whether the numbers of training pictures differ: with two a class every part of them is one."""
        return bool(self.sizes[-1] > self.sizes[0])

    def at(self, n: float) -> float:
        """Expected accuracy with n training pictures."""
        return float(1 - _error(self.law, n))

    def interval_at(self, n: float) -> tuple[float, float]:
        """The 90 % interval of the accuracy with n training pictures."""
        low, high = np.quantile(1 - _error(self.draws, n), [0.05, 0.95])
        return float(low), float(high)

    def step(self, start: float, end: float) -> tuple[float, float]:
        """Accuracy gained from `start` to `end` training pictures, and its standard deviation."""
        gains = _error(self.draws, start) - _error(self.draws, end)
        return float(_error(self.law, start) - _error(self.law, end)), float(gains.std())


def learning_curve(
    problem: Problem, penalty: float, *, seed: int = 0, groups: np.ndarray | None = None
) -> LearningCurve:
    """Refit ridge regression on nested parts of each fold's training pictures, and score the fold.

    The parts are stratified: the same share of every class, at least one picture. With `groups` (int (n,)) they
    take group after group, as more data would mean more patients and not more pictures of those that there are.
    penalty: as in `ridge_path`; it is in a unit that does not depend on n, so it stays.
    """
    y, spectrum = problem.y, as_spectrum(problem.X)
    clusters = np.arange(len(y)) if groups is None else np.unique(groups, return_inverse=True)[1]
    order = np.random.default_rng(seed).permutation(int(clusters.max()) + 1)[clusters]
    refit = _Refit(spectrum.rotated, one_against_rest(y, problem.n_classes, spectrum.device), penalty * spectrum.unit)
    with threads_for(spectrum.n**2 * spectrum.rank):
        rows = [_measure(refit, y, problem.folds, order, share) for share in SHARES]
    sizes, correct = (np.stack(part) for part in zip(*rows, strict=True))
    return curve_through(sizes, correct, clusters, seed)


@dataclass(frozen=True)
class _Refit:
    """Rotated features (n, r), targets (n, C) and the penalty's absolute strength."""

    Z: Tensor
    targets: Tensor
    strength: float

    def predict(self, train: np.ndarray, test: np.ndarray) -> np.ndarray:
        """Classes of the test rows after ridge regression on the training rows, by the smaller system."""
        Z, targets = self.Z[train].double(), self.targets[train]
        center, mean = Z.mean(dim=0), targets.mean(dim=0)
        A, B = Z - center, targets - mean
        wide = A.shape[0] <= A.shape[1]
        gram = A @ A.T if wide else A.T @ A
        gram.diagonal().add_(self.strength)
        solved = solve_positive(gram, B if wide else A.T @ B)
        weight = A.T @ solved if wide else solved
        best: np.ndarray = (mean + (self.Z[test].double() - center) @ weight).argmax(dim=1).cpu().numpy()
        return best


def _measure(
    refit: _Refit, y: np.ndarray, folds: np.ndarray, order: np.ndarray, share: float
) -> tuple[float, np.ndarray]:
    """Mean number of training pictures over folds, and out-of-fold correctness (n,), at one share of them."""
    correct, sizes = np.empty(len(y), dtype=bool), []
    for fold in np.unique(folds):
        test = np.flatnonzero(folds == fold)
        part = nested_part(y, folds != fold, order, share)
        correct[test] = refit.predict(part, test) == y[test]
        sizes.append(len(part))
    return float(np.mean(sizes)), correct


def nested_part(y: np.ndarray, among: np.ndarray, order: np.ndarray, share: float) -> np.ndarray:
    """Positions of the first `share` (rounded up) of every class's pictures among those allowed, by `order`."""
    rows = np.flatnonzero(among)
    rows = rows[np.argsort(order[rows], kind="stable")]
    parts = [rows[y[rows] == label] for label in np.unique(y[rows])]
    return np.concatenate([part[: int(np.ceil(share * len(part)))] for part in parts])


def curve_through(sizes: np.ndarray, correct: np.ndarray, clusters: np.ndarray, seed: int = 0) -> LearningCurve:
    """A curve from the correctness (J, n) bool of the same n pictures at J training sizes.

    clusters: int (n,), pictures that are resampled together.
    """
    n = correct.shape[1]
    _, members = np.unique(clusters, return_inverse=True)
    n_clusters = int(members.max()) + 1
    rng = np.random.default_rng(seed)
    picks = rng.multinomial(n_clusters, np.full(n_clusters, 1 / n_clusters), size=DRAWS)
    counts = picks[:, members].astype(np.float64)
    errors = 1 - counts @ correct.T / counts.sum(axis=1, keepdims=True)
    measured = 1 - correct.mean(axis=1)
    # What all sizes have in common is the pictures' luck; only the rest hides the shape.
    noise = max(float((errors - errors.mean(axis=1, keepdims=True)).var(axis=0).mean()), 1 / n**2)
    typical = TYPICAL * np.exp(SPREAD * rng.standard_normal(DRAWS))
    laws = power_laws_through(sizes, np.vstack([measured, errors]), noise, np.append(TYPICAL, typical))
    return LearningCurve(sizes, 1 - measured, laws[0], laws[1:])


def power_laws_through(sizes: np.ndarray, errors: np.ndarray, noise: float, typical: np.ndarray) -> np.ndarray:
    """The most plausible c, a, b for each row of errors (B, J): (B, 3).

    For every exponent the best c >= 0 and a >= 0 are a small least-squares problem; among exponents the misfit in
    units of `noise` (a variance) counts together with a prior, log b ~ N(log typical, SPREAD), as four noisy points
    alone do not tell b. Rows with randomly drawn `typical` (B,) spread as the posterior does.
    """
    fits = [_offset_and_slope(sizes, errors, b) for b in EXPONENTS]
    c, a, misfit = (np.stack(part, axis=1) for part in zip(*fits, strict=True))
    prior = (np.log(EXPONENTS / typical[:, None]) / SPREAD) ** 2
    best = (misfit / noise + prior).argmin(axis=1)
    rows = np.arange(len(errors))
    return np.stack([c[rows, best], a[rows, best], EXPONENTS[best]], axis=1)


def _offset_and_slope(sizes: np.ndarray, errors: np.ndarray, b: float) -> tuple[np.ndarray, ...]:
    """c (B,), a (B,) and the squared misfit (B,) of errors (B, J) = c + a sizes^-b with c >= 0 and a >= 0."""
    x = sizes**-b
    centred = x - x.mean()
    a = np.maximum(errors @ centred / max(float(centred @ centred), 1e-30), 0.0)
    c = errors.mean(axis=1) - a * x.mean()
    a, c = np.where(c < 0, errors @ x / (x @ x), a), np.maximum(c, 0.0)
    misfit = ((errors - c[:, None] - a[:, None] * x) ** 2).sum(axis=1)
    return c, a, misfit


def _error(laws: np.ndarray, n: float) -> np.ndarray:
    c, a, b = laws[..., 0], laws[..., 1], laws[..., 2]
    return np.clip(c + a * float(n) ** -b, 0.0, 1.0)

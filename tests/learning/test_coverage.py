"""The 90% interval holds the true accuracy of what was chosen: simulated, from features to the estimate.

Run as a script for more draws: `python tests/training/test_coverage.py 400`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
import pytest
from gaussians import stratified_folds
from scipy.stats import beta

from automl_tl.learning.curve import learning_curve
from automl_tl.learning.estimate import Estimate, expected_accuracy
from automl_tl.learning.problem import Problem
from automl_tl.learning.scores import correctness
from automl_tl.learning.screen import ridge_path, solve_ridge
from automl_tl.learning.selection import Bootstrap, OutOfFold
from automl_tl.learning.spectrum import decompose

DRAWS = 100
SOURCES, PENALTIES, FOLDS = 12, np.logspace(-2, 2, 5), 5


@dataclass(frozen=True)
class World:
    """A mixture of Gaussians in 12 dimensions, and noisy linear views of it: sources that are alike, as cuts are."""

    means: np.ndarray
    views: np.ndarray
    noise: np.ndarray

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> World:
        means = rng.standard_normal((rng.integers(2, 9), 12)) * rng.uniform(0.4, 1.4)
        return cls(means, rng.standard_normal((SOURCES, 12, 24)) / 4, rng.uniform(0.3, 1.2, SOURCES))

    def pictures(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """What is behind n pictures (n, 12), and their labels (n,)."""
        y = np.arange(n) % len(self.means)
        return self.means[y] + rng.standard_normal((n, 12)), y

    def features(self, latent: np.ndarray, source: int, rng: np.random.Generator) -> np.ndarray:
        noise = self.noise[source] * rng.standard_normal((len(latent), 24))
        return (latent @ self.views[source] + noise).astype(np.float32)


@dataclass(frozen=True)
class Draw:
    truth: float
    best_score: float
    estimate: Estimate
    plain: tuple[float, float]  # the exact binomial interval (Clopper-Pearson) around the best score


def plain_interval(right: int, n: int) -> tuple[float, float]:
    low = float(beta.ppf(0.05, right, n - right + 1)) if right else 0.0
    return low, float(beta.ppf(0.95, right + 1, n - right)) if right < n else 1.0


def draw(n: int, seed: int) -> Draw:
    """Choose among 12 sources x 5 penalties by cross-validation on n pictures; see what came true on 3,000."""
    rng = np.random.default_rng(seed)
    world = World.drawn(rng)
    latent, y = world.pictures(n, rng)
    classes, folds = len(world.means), stratified_folds(y, FOLDS, seed)
    spectra = [decompose(world.features(latent, source, rng)) for source in range(SOURCES)]
    paths = [ridge_path(Problem(spectrum, y, folds, classes), penalties=PENALTIES) for spectrum in spectra]
    correct = np.hstack([correctness(y, path.predictions) for path in paths])
    best = int(np.argmax([path.value for path in paths]))
    penalty = paths[best].penalty
    step = learning_curve(Problem(spectra[best], y, folds, classes), penalty, seed=seed).step(n * (1 - 1 / FOLDS), n)
    estimate = expected_accuracy(OutOfFold(correct, folds=folds), curve_step=step, bootstrap=Bootstrap(300, seed))
    fresh, labels = world.pictures(3000, rng)
    predicted = solve_ridge(spectra[best], y, classes, penalty).predict(world.features(fresh, best, rng))
    right = int(correct.sum(axis=0).max())
    return Draw(float((predicted == labels).mean()), right / n, estimate, plain_interval(right, n))


def coverage(draws: list[Draw], intervals: list[tuple[float, float]]) -> float:
    return float(np.mean([low <= one.truth <= high for one, (low, high) in zip(draws, intervals, strict=True)]))


@pytest.mark.parametrize("n", [40, 120, 400])
def test_the_interval_covers_the_truth(n: int):
    draws = [draw(n, seed) for seed in range(DRAWS)]
    corrected = coverage(draws, [one.estimate.interval for one in draws])
    assert 0.8 <= corrected <= 1
    bias = np.mean([one.estimate.accuracy - one.truth for one in draws])
    optimism = np.mean([one.best_score - one.truth for one in draws])
    assert abs(bias) < 0.5 * optimism
    too_high = np.mean([one.truth < one.estimate.interval[0] for one in draws])
    plainly_too_high = np.mean([one.truth < one.plain[0] for one in draws])
    assert too_high <= 0.5 * plainly_too_high
    if n == 40:
        assert corrected > coverage(draws, [one.plain for one in draws]) + 0.05


if __name__ == "__main__":
    for size in (40, 120, 400):
        sample = [draw(size, seed) for seed in range(int(sys.argv[1]))]
        for name, ranges in (
            ("corrected", [one.estimate.interval for one in sample]),
            ("binomial", [one.plain for one in sample]),
        ):
            width = np.mean([high - low for low, high in ranges])
            high_misses = np.mean([one.truth < low for one, (low, _) in zip(sample, ranges, strict=True)])
            line = f"coverage {coverage(sample, ranges):.3f} width {width:.3f} truth below {high_misses:.3f}"
            sys.stdout.write(f"n {size}: {name} {line}\n")
        error = np.array([[one.estimate.accuracy - one.truth, one.best_score - one.truth] for one in sample])
        sys.stdout.write(f"n {size}: mean error corrected, best score {error.mean(axis=0).round(3)}\n")

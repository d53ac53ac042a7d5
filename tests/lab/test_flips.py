"""Flips are judged by classifiers that saw neither version of a picture, and pictures of one group count together."""

from __future__ import annotations

import numpy as np
import pytest

from automl_tl.features.picture import Picture
from automl_tl.lab.evidence import Candidate
from automl_tl.lab.feature_sources import FeatureSource
from automl_tl.lab.flips import FlipHarm, flip_harm, judge_flips
from automl_tl.lab.sample import Sample
from automl_tl.learning.scores import PenaltyPath

N = 60


def judged(X: np.ndarray, y: np.ndarray, flipped: np.ndarray) -> FlipHarm:
    """Return the harm of a flip of all N pictures, with a classifier that hardly regularises."""
    pictures = tuple(Picture(f"{i}.png", f"{i:064x}") for i in range(N))
    sample = Sample(pictures, y, np.arange(N) % 5, np.arange(N), ("x", "y"), N, N / 2)
    path = PenaltyPath("ridge", np.array([1e-3]), y[None], np.zeros(1), 0, np.zeros((N, 2)), np.zeros(N), 0.9)
    screened = Candidate(FeatureSource(("tiny",), (3,), "mean"), 3, path, np.arange(N), 0.5, 0.5)
    return judge_flips(screened, X, sample, np.arange(N), {"hflip": flipped})[0]


def test_a_classifier_answers_for_no_picture_that_it_has_learned() -> None:
    """With more columns than pictures every label can be learned by heart; labels that mean nothing stay a guess."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((N, 200)), rng.permutation(np.arange(N) % 2)
    harm = judged(X, y, rng.standard_normal((N, 200)))
    assert abs(harm.harm) < 0.3  # who knew the pictures as they are would lose a half


def test_a_feature_that_the_flip_turns_round_is_harmed_and_another_is_not() -> None:
    y = np.arange(N) % 2
    X = np.stack([2.0 * y - 1, np.random.default_rng(0).standard_normal(N)], axis=1)
    assert judged(X, y, X * [-1, 1]).harm == pytest.approx(1.0)
    assert judged(X, y, X * [1, -1]).harm == pytest.approx(0.0, abs=0.1)


def test_pictures_of_one_group_are_no_proof_of_harm() -> None:
    groups = np.repeat(np.arange(25), 4)
    right, flipped = np.ones(100, bool), groups > 0
    assert not flip_harm("hflip", right, flipped).allowed
    assert flip_harm("hflip", right, flipped, groups).allowed

"""The head that training begins with where solving one exactly would take too long."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from automl_tl.learning import classifiers
from automl_tl.learning.classifiers import starting_head
from automl_tl.learning.scores import negative_log_likelihood

CLASSES, COLUMNS, GROUPS, OF_EACH = 10, 150, 150, 8


@pytest.fixture(autouse=True)
def _large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everything be too large for softmax."""
    monkeypatch.setattr(classifiers, "solving", lambda *sizes: SimpleNamespace(affordable=False))


def drawn(groups: int, of_each: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features, labels and groups, whose pictures are nearly alike."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((CLASSES, COLUMNS)) * 0.25
    y = rng.integers(0, CLASSES, groups)
    alike = centres[y] + rng.standard_normal((groups, COLUMNS))
    X = alike[:, None] + 0.15 * rng.standard_normal((groups, of_each, COLUMNS))
    return X.reshape(-1, COLUMNS).astype(np.float32), np.repeat(y, of_each), np.repeat(np.arange(groups), of_each)


def test_groups_stay_whole_when_its_penalty_and_temperature_are_chosen() -> None:
    X, y, groups = drawn(GROUPS, OF_EACH, 1)
    new, labels, _ = drawn(1000, 1, 2)

    def loss(**more: np.ndarray) -> float:
        return negative_log_likelihood(labels, starting_head(X, y, CLASSES, 0.1, **more).scores(new))

    assert loss(groups=groups) < 0.9 * np.log(CLASSES)  # of who guesses
    assert loss() > loss(groups=groups)


def test_pictures_of_a_single_group_are_halved_all_the_same() -> None:
    X, y, _ = drawn(60, 1, 3)
    head = starting_head(X, y, CLASSES, 0.1, groups=np.zeros(60, np.int64))
    assert np.isfinite(head.scores(X)).all()

"""The bootstrap over sums draws what a bootstrap over scores draws."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_tl.learning import bootstrap
from automl_tl.learning.bootstrap import DRAWS, SUMS, stderr_of_difference
from automl_tl.learning.scores import METRICS


def candidates(n: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, n)
    before, after = (rng.standard_normal((n, classes)) + strength * np.eye(classes)[y] for strength in (1.0, 2.0))
    return y, before.astype(np.float32), after.astype(np.float32), rng.integers(0, max(n // 2, 1), n)


def by_scores(name: str, y: np.ndarray, before: np.ndarray, after: np.ndarray, clusters: np.ndarray) -> float:
    """Draw clusters with replacement, and score the pictures of each draw anew."""
    function, rng = METRICS[name].function, np.random.default_rng(0)
    members = [np.flatnonzero(clusters == cluster) for cluster in np.unique(clusters)]
    drawn = []
    for _ in range(DRAWS):
        some = np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))])
        drawn.append(function(y[some], after[some]) - function(y[some], before[some]))
    return float(np.std(drawn))


def test_every_metric_has_its_sums():
    assert set(SUMS) == set(METRICS)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 999), n=st.integers(2, 60), classes=st.integers(2, 5))
@pytest.mark.parametrize("name", METRICS)
def test_the_sums_of_all_pictures_are_the_metric(name: str, seed: int, n: int, classes: int):
    y, scores, _, _ = candidates(n, classes, seed)
    sums = SUMS[name].table(y, scores).sum(axis=0)[None]
    assert SUMS[name].value(sums) == pytest.approx(METRICS[name].function(y, scores))


@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy", "macro_f1"])
@pytest.mark.parametrize("piece", [100, 2**24])
def test_the_error_is_that_of_drawing_scores(monkeypatch: pytest.MonkeyPatch, name: str, piece: int):
    monkeypatch.setattr(bootstrap, "PIECE", piece)
    data = candidates(120, 4, 1)
    assert stderr_of_difference(METRICS[name], *data) == pytest.approx(by_scores(name, *data), rel=1e-9)


def test_a_log_loss_with_its_temperature_kept_has_nearly_the_same_error():
    data = candidates(300, 4, 1)
    ours, theirs = stderr_of_difference(METRICS["log_loss"], *data), by_scores("log_loss", *data)
    assert ours == pytest.approx(theirs, rel=0.05)


def test_the_same_scores_have_no_error():
    y, before, _, clusters = candidates(50, 3, 0)
    assert stderr_of_difference(METRICS["macro_f1"], y, before, before, clusters) == 0


def test_many_pictures_of_many_classes_are_compared_in_bounded_memory(monkeypatch: pytest.MonkeyPatch):
    """No more than a few times what the sums of the drawn pictures take, however many draws there are."""
    y, before, after, _ = candidates(20_000, 100, 0)
    monkeypatch.setattr(bootstrap, "PIECE", 10**6)
    tracemalloc.start()
    error = stderr_of_difference(METRICS["macro_f1"], y, before, after, np.arange(20_000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0.001 < error < 0.01
    assert peak < 60e6


def test_of_many_clusters_fewer_draws_are_made(monkeypatch: pytest.MonkeyPatch):
    data = candidates(200, 3, 2)
    whole = stderr_of_difference(METRICS["macro_f1"], *data)
    monkeypatch.setattr(bootstrap, "NUMBERS", 1.0)
    fewer = stderr_of_difference(METRICS["macro_f1"], *data)
    assert fewer == pytest.approx(whole, rel=0.4)
    assert fewer != whole

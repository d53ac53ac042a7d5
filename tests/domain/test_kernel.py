from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_tl.domain import kernel


def cloud(n: int, shift: float = 0.0, seed: int = 0, d: int = 24) -> np.ndarray:
    return kernel.unit(np.random.default_rng(seed).normal(size=(n, d)) + shift)


def exact_mmd(x: np.ndarray, y: np.ndarray, width: float) -> float:
    within = kernel.self_similarity(kernel.gaussian(x, x, width)) + kernel.self_similarity(kernel.gaussian(y, y, width))
    return within - 2 * float(kernel.gaussian(x, y, width).mean())


@pytest.mark.parametrize("shift", [0.0, 0.3, 1.0])
def test_random_features_agree_with_the_exact_kernel(shift: float) -> None:
    x, y, width = cloud(60, shift), cloud(80, seed=1), 0.5
    approximate = float(kernel.similarity_to(x, kernel.mean_map(y, width), width).mean())
    assert approximate == pytest.approx(float(kernel.gaussian(x, y, width).mean()), abs=0.005)


def test_the_distance_is_unbiased_at_any_sample_size() -> None:
    """Many small samples of one distribution are at distance 0 on average, where a biased one would be above."""
    distances = [exact_mmd(cloud(10, seed=s), cloud(10, seed=1000 + s), 0.7) for s in range(200)]
    assert abs(np.mean(distances)) < 3 * np.std(distances) / np.sqrt(200)
    assert min(distances) < 0


def test_frequencies_never_change() -> None:
    """Kept references depend on this stream."""
    assert kernel._frequencies(3)[0, :3] == pytest.approx([-0.74596495, -0.38703191, 0.01979487], abs=1e-8)


@given(st.integers(2, 30), st.integers(2, 8))
@settings(max_examples=20, deadline=None)
def test_the_median_distance_is_between_the_smallest_and_the_largest(n: int, d: int) -> None:
    rows = cloud(n, d=d, seed=n * d)
    distances = [np.linalg.norm(rows[i] - rows[j]) for i in range(n) for j in range(i)]
    assert min(distances) - 1e-9 <= kernel.median_distance(rows) <= max(distances) + 1e-9

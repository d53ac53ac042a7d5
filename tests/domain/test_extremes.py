"""Pictures that are like the source pictures are told from those that are not."""

from __future__ import annotations

import numpy as np

from automl_tl.domain import kernel
from automl_tl.domain.extremes import MOST, extremes
from automl_tl.domain.reference import DomainReference


def reference(rows: np.ndarray) -> DomainReference:
    maps = kernel.mean_map(kernel.unit(rows), 0.5)[None].astype(np.float16)
    return DomainReference("source", "tiny", "w", 32, (0, 0, 0), (1, 1, 1), len(rows), (0.5,), (0.1,), 0.0, {}, maps)


def test_the_most_and_the_least_alike_are_at_the_ends() -> None:
    rng = np.random.default_rng(0)
    source = rng.normal([5, 0, 0, 0], 1, (200, 4))
    alike, unlike = rng.normal([5, 0, 0, 0], 1, (10, 4)), rng.normal([-5, 0, 0, 0], 1, (10, 4))
    paths = [f"alike {k}" for k in range(10)] + [f"unlike {k}" for k in range(10)]
    found = extremes(reference(source), np.concatenate([alike, unlike]), paths)
    assert len(found.nearest) == len(found.farthest) == MOST
    assert all(path.startswith("alike") for path in found.nearest)
    assert all(path.startswith("unlike") for path in found.farthest)


def test_of_few_pictures_none_is_at_both_ends() -> None:
    rows = np.random.default_rng(1).normal(size=(5, 4))
    found = extremes(reference(rows), rows, list("abcde"))
    assert len(found.nearest) == len(found.farthest) == 2
    assert not set(found.nearest) & set(found.farthest)

"""A picture unlike the training pictures is known by its distance to them."""

from __future__ import annotations

import numpy as np
import pytest

from automl_tl.model.novelty import LEAST_THRESHOLD, Novelty, measure_novelty


def alone(embeddings: np.ndarray) -> Novelty:
    """Return the novelty of pictures of which each is on its own."""
    return measure_novelty(embeddings, np.arange(len(embeddings)))


def cloud(n: int, seed: int, d: int = 16) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (np.eye(d)[0] * 4 + rng.normal(0, 0.5, (n, d))).astype(np.float32)


def test_distance_is_one_minus_the_largest_cosine() -> None:
    novelty = Novelty(np.eye(2, dtype=np.float32), 0.5)
    found = novelty.distance(np.array([[3.0, 0.0], [1.0, 1.0], [-1.0, 0.0], [0.0, 0.0]]))
    assert found == pytest.approx([0.0, 1 - 0.5**0.5, 1.0, 1.0])
    assert novelty.unusual(np.array([[3.0, 0.0], [-1.0, 0.0]])).tolist() == [False, True]


def test_what_is_not_finite_is_unusual() -> None:
    novelty = Novelty(np.eye(2, dtype=np.float32), 2.0)
    assert novelty.unusual(np.array([[np.nan, 1.0], [np.inf, 0.0], [-1.0, -1.0]])).tolist() == [True, True, False]


@pytest.mark.parametrize("n", [20, 100, 500])
def test_pictures_of_the_same_kind_are_seldom_unusual_and_others_always(n: int) -> None:
    novelty = alone(cloud(n, 0))
    assert novelty.unusual(cloud(2000, 1)).mean() < 0.05
    other = -cloud(200, 2)
    assert novelty.unusual(other).all()
    assert 0 < novelty.threshold < 0.5


@pytest.mark.parametrize("n", [2, 4])
def test_few_pictures_suffice(n: int) -> None:
    embeddings = cloud(n, 3)
    novelty = alone(embeddings)
    assert novelty.neighbours.shape == (n, 16)
    apart = alone(embeddings).threshold
    assert not novelty.unusual(embeddings).any()
    assert apart >= max(one for one in _pairwise(embeddings))


def _pairwise(embeddings: np.ndarray) -> np.ndarray:
    rows = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    likeness = rows @ rows.T
    np.fill_diagonal(likeness, -1)
    nearest: np.ndarray = 1 - likeness.max(axis=1)
    return nearest


@pytest.mark.parametrize("groups", [5, 10])
def test_new_groups_are_seldom_unusual_though_pictures_of_one_are_alike(groups: int) -> None:
    rng = np.random.default_rng(5)

    def pictures(seed: int) -> np.ndarray:
        centres = cloud(groups, seed)
        members: np.ndarray = np.repeat(centres, 100 // groups, axis=0)
        return members + rng.normal(0, 0.01, members.shape).astype(np.float32)

    novelty = measure_novelty(pictures(0), np.repeat(np.arange(groups), 100 // groups))
    assert np.mean([novelty.unusual(pictures(seed)).mean() for seed in range(1, 20)]) < 0.2
    assert novelty.unusual(-pictures(2)).all()


def test_of_one_group_its_own_pictures_are_what_is_near() -> None:
    embeddings = cloud(20, 3)
    assert measure_novelty(embeddings, np.zeros(20, int)).threshold == alone(embeddings).threshold


def test_one_picture_is_no_measure() -> None:
    with pytest.raises(ValueError, match="two pictures or more"):
        alone(cloud(1, 0))


def test_what_is_kept_has_length_one_and_no_picture_is_its_own_neighbour() -> None:
    novelty = alone(cloud(200, 0))
    assert novelty.neighbours.shape == (200, 16)
    assert novelty.neighbours.dtype == np.float32
    assert np.linalg.norm(novelty.neighbours, axis=1) == pytest.approx(np.ones(200))
    assert novelty.threshold > LEAST_THRESHOLD


def test_pictures_that_are_all_alike_leave_room_for_rounding() -> None:
    novelty = alone(np.ones((6, 8), np.float32))
    assert novelty.threshold == LEAST_THRESHOLD
    assert not novelty.unusual(np.ones((1, 8)) + 1e-4 * np.arange(8)).any()

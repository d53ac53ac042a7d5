from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from generated_pictures import MakePictures
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from token_backbone import TokenBackbone
from torch import Tensor
from trainable import CPU, STRONG, make_cache, noise, row_counter, tiny_network, token_network

from automl_tl.backbones.stages import Network, build_network, normalise
from automl_tl.data.decode import Preprocessing
from automl_tl.features.extract import Pass, extract
from automl_tl.features.picture import Picture
from automl_tl.features.store import FeatureStore
from automl_tl.learning.activations import PLAIN, ActivationCache
from automl_tl.learning.pixels import load_pixels
from automl_tl.learning.trainer import n_variants, prefix_passes

N = 7
HALF = {"rtol": 2e-3, "atol": 2e-3}
"""Twice the rounding of half precision."""
ALL = np.arange(N)
FOLDING = 3 * 2
"""Pictures that show whether the frozen stages can be folded: one pass finds the pairs, two are compared."""


def direct(network: Network, pixels: np.ndarray, boundary: int) -> Tensor:
    x = normalise(torch.from_numpy(pixels), network.backbone.mean, network.backbone.std)
    with torch.no_grad():
        for stage in network.stages[:boundary]:
            x = stage(x)
    return x


@pytest.mark.parametrize("boundary", [0, 1, 2, 3])
def test_the_plain_view_is_the_picture_itself(tmp_path: Path, boundary: int) -> None:
    network, pixels = tiny_network(), noise(N)
    cache = make_cache(network, pixels, boundary, tmp_path, policy=STRONG)
    for rows in (ALL, np.array([5, 1])):
        torch.testing.assert_close(cache.batch(PLAIN, rows).output, direct(network, pixels[rows], boundary), **HALF)


def test_tokens_are_kept_as_they_are(tmp_path: Path) -> None:
    network, pixels = token_network(), noise(N)
    output = make_cache(network, pixels, 1, tmp_path).batch(PLAIN, ALL).output
    assert output.shape == (N, 16, 12)
    torch.testing.assert_close(output, direct(network, pixels, 1), **HALF)


def test_a_class_token_and_the_patches_are_read_of_frozen_and_of_learning_stages(tmp_path: Path) -> None:
    network, pixels = build_network("tokens", TokenBackbone()), noise(N)
    cache = make_cache(network, pixels, 3, tmp_path, cuts=(3,), pooling="mean+patches")
    output = direct(network, pixels, 3)
    expected = torch.cat([output[:, 0], output[:, 1:].mean(1)], 1)
    torch.testing.assert_close(cache.batch(PLAIN, ALL).pooled[3], expected)
    torch.testing.assert_close(cache.columns(output, 3), expected)


def test_a_batch_is_laid_out_as_the_last_frozen_stage_puts_it_out(tmp_path: Path) -> None:
    network = build_network("tokens", TokenBackbone())
    layouts = [make_cache(network, noise(N), boundary, tmp_path).layout for boundary in (0, 1)]
    assert layouts == ["map", "tokens"]
    assert make_cache(replace(network, layouts=("map_last",) * 3), noise(N), 2, tmp_path).layout == "map_last"


def test_without_a_policy_every_view_is_plain(tmp_path: Path) -> None:
    cache = make_cache(tiny_network(), noise(N), 2, tmp_path)
    torch.testing.assert_close(cache.batch(3, ALL).output, cache.batch(PLAIN, ALL).output)


@pytest.mark.parametrize("boundary", [0, 2])
def test_views_differ_and_the_seed_decides(tmp_path: Path, boundary: int) -> None:
    network, pixels = tiny_network(), noise(N)

    def outputs(seed: int) -> list[Tensor]:
        cache = make_cache(network, pixels, boundary, tmp_path, policy=STRONG, seed=seed)
        return [cache.batch(view, ALL).output for view in (PLAIN, 1, 2)]

    first, again, other = outputs(0), outputs(0), outputs(1)
    assert all(torch.equal(*pair) for pair in zip(first, again, strict=True))
    assert torch.equal(first[0], other[0])
    assert not torch.allclose(first[1], other[1], atol=0.05)
    assert not torch.allclose(first[1], first[2], atol=0.05)
    assert not torch.allclose(first[1], first[0], atol=0.05)


NETWORK, PIXELS = tiny_network(), noise(N)
asked = st.lists(st.tuples(st.integers(0, 6), st.lists(st.integers(0, N - 1), min_size=1, max_size=N)), max_size=6)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=asked, view=st.integers(0, 6), rows=st.lists(st.integers(0, N - 1), min_size=1, max_size=N))
@pytest.mark.parametrize("boundary", [0, 2])
def test_a_picture_in_a_view_is_the_same_whatever_was_asked_with_it_or_before(
    tmp_path: Path, boundary: int, before: list[tuple[int, list[int]]], view: int, rows: list[int]
) -> None:
    cache = make_cache(NETWORK, PIXELS, boundary, tmp_path, policy=STRONG, cuts=(2, 3))
    for other, some in before:
        cache.batch(other, np.array(some))
    alone = make_cache(NETWORK, PIXELS, boundary, tmp_path, policy=STRONG, cuts=(2, 3))
    batch = cache.batch(view, np.array(rows))
    for position, row in enumerate(rows):
        one = alone.batch(view, np.array([row]))
        torch.testing.assert_close(batch.output[position], one.output[0], **HALF)
        for cut, values in one.pooled.items():
            torch.testing.assert_close(batch.pooled[cut][position], values[0], **HALF)


def test_without_frozen_stages_nothing_is_kept_and_every_view_is_new(tmp_path: Path) -> None:
    cache = make_cache(tiny_network(), noise(N), 0, tmp_path, policy=STRONG, n_variants=2)
    views = [cache.batch(view, ALL) for view in range(1, 7)]
    assert len(cache._variants) == 0
    assert views[0].pooled == {}
    assert not any(torch.allclose(views[0].output, view.output, atol=0.05) for view in views[1:])


def test_views_go_round(tmp_path: Path) -> None:
    cache = make_cache(tiny_network(), noise(N), 2, tmp_path, policy=STRONG, n_variants=3)
    views = [cache.batch(view, ALL).output for view in range(8)]
    assert len(cache._variants) == 4  # the plain one as well
    assert torch.equal(views[1], views[4])
    assert torch.equal(views[2], views[5])
    assert not torch.equal(views[3], views[4])


def test_the_prefix_runs_once_per_view_and_picture(tmp_path: Path) -> None:
    network = tiny_network()
    passed = row_counter(network)
    cache = make_cache(network, noise(N), 2, tmp_path, policy=STRONG, n_variants=2)
    cache.batch(1, np.array([0, 1, 2]))
    measured = FOLDING + 1  # one picture, to know how much its output takes
    assert sum(passed) == 3 + measured
    cache.batch(1, np.array([2, 0]))
    cache.batch(3, np.array([1, 0]))
    assert sum(passed) == 3 + measured
    cache.batch(1, np.array([1, 5]))
    assert sum(passed) == 4 + measured
    for epoch in range(1, 11):
        cache.batch(epoch, ALL)
    assert sum(passed) == 2 * N + measured


def test_where_nothing_varies_the_prefix_runs_once(tmp_path: Path) -> None:
    network = tiny_network()
    passed = row_counter(network)
    cache = make_cache(network, noise(N), 2, tmp_path, n_variants=n_variants(10, varied=False))
    views = [cache.batch(epoch, ALL).output for epoch in range(11)]
    assert all(torch.equal(view, views[0]) for view in views)
    assert sum(passed) == prefix_passes(10, 1, varied=False) * N + FOLDING + 1


def kept_bytes(cache: ActivationCache, *, pooled: bool) -> int:
    total = 0
    for view in cache._variants.values():
        assert view.output is not None
        total += view.output.nbytes + (sum(v.nbytes for v in view.pooled.values()) if pooled else 0)
    return total


@pytest.mark.parametrize("room", [0.5, 1, 2.5, 10])
def test_no_more_is_kept_than_may_be(tmp_path: Path, room: float) -> None:
    """What there is no room for is run every time."""
    network, pixels = tiny_network(), noise(N)
    whole = make_cache(network, pixels, 2, tmp_path, policy=STRONG)
    whole.batch(PLAIN, ALL)
    limit = int(room * kept_bytes(whole, pooled=False))
    cache = make_cache(network, pixels, 2, tmp_path, policy=STRONG, max_bytes=limit)
    varied = [cache.batch(view, ALL).output for view in range(1, 9)]
    plain = cache.batch(PLAIN, ALL).output
    assert len(cache._variants) == {0.5: 0, 1: 1, 2.5: 2, 10: 5}[room]
    assert kept_bytes(cache, pooled=False) <= limit
    torch.testing.assert_close(plain, direct(network, pixels, 2), **HALF)
    assert not any(torch.allclose(view, plain, atol=0.05) for view in varied)


@pytest.mark.parametrize("room", [0, 1, 2])
def test_pictures_vary_no_less_where_there_is_little_room(tmp_path: Path, room: int) -> None:
    """One variant that fits must not be the only one that training ever sees."""
    network, pixels = tiny_network(), noise(N)
    passed = row_counter(network)
    limit = (room + 0.5) * N * 2 * network.sizes[1]
    cache = make_cache(network, pixels, 2, tmp_path, policy=STRONG, max_bytes=int(limit), n_variants=n_variants(8))
    views = [cache.batch(epoch, ALL).output for epoch in range(1, 9)]
    alike = {(i, j) for j in range(8) for i in range(j) if torch.allclose(views[i], views[j], atol=0.05)}
    assert alike == {(i, j) for j in range(8) for i in range(j) if i % 3 == j % 3 < room}
    measured = FOLDING + 1
    assert sum(passed) == prefix_passes(8, room) * N + measured


def test_pooled_columns_count_as_well(tmp_path: Path) -> None:
    network, pixels = tiny_network(), noise(N)
    options = {"cuts": (1, 2, 3), "pooling": "grid", "policy": STRONG}
    limit = 3 * 2 * N * 16 * 4 * 4  # three views of the last stage's output
    cache = make_cache(network, pixels, 3, tmp_path, max_bytes=limit, **options)
    for view in range(1, 6):
        cache.batch(view, ALL)
    assert kept_bytes(cache, pooled=True) <= limit


def test_outputs_beyond_half_precision_are_cut_off_not_infinite(tmp_path: Path) -> None:
    network = tiny_network(batchnorm=False)
    with torch.no_grad():
        network.stages[0][0].weight *= 1e7
    output = make_cache(network, noise(N), 1, tmp_path).batch(PLAIN, ALL).output
    assert torch.isfinite(output).all()
    assert output.max() == torch.finfo(torch.float16).max


@pytest.mark.parametrize("pooling", ["mean", "mean+std", "grid"])
def test_columns_within_the_boundary_are_those_of_the_features(
    make_pictures: MakePictures, tmp_path: Path, pooling: str
) -> None:
    """So a head that was solved on features means the same here."""
    files = sorted(make_pictures().rglob("*.png"))
    pictures = [Picture(str(file), hashlib.sha256(file.read_bytes()).hexdigest()) for file in files]
    how, network = Preprocessing(32), tiny_network()
    features = extract(Pass(network, how, CPU), pictures, FeatureStore(tmp_path / "store"))
    pixels = load_pixels(pictures, how, tmp_path)
    cache = make_cache(network, pixels, 3, tmp_path, cuts=(1, 2, 3), pooling=pooling)
    batch = cache.batch(PLAIN, np.arange(len(files)))
    assert sorted(batch.pooled) == [1, 2, 3]
    for cut, values in batch.pooled.items():
        expected = torch.from_numpy(features.matrix((cut,), pooling))
        torch.testing.assert_close(values, expected, rtol=2e-3, atol=1e-4)


def test_cuts_beyond_the_boundary_are_not_pooled_here(tmp_path: Path) -> None:
    batch = make_cache(tiny_network(), noise(N), 2, tmp_path, cuts=(1, 3)).batch(PLAIN, ALL)
    assert sorted(batch.pooled) == [1]


def test_training_does_not_reach_what_is_kept(tmp_path: Path) -> None:
    cache = make_cache(tiny_network(), noise(N), 1, tmp_path)
    batch = cache.batch(PLAIN, ALL)
    kept = batch.output.clone()
    batch.output.mul_(0)
    torch.testing.assert_close(cache.batch(PLAIN, ALL).output, kept)
    assert not batch.output.requires_grad

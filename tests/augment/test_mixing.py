from __future__ import annotations

import numpy as np
import pytest
import torch

from automl_tl.augment.mixing import Mixing, _beta, mix

N = 8
KINDS = [Mixing(mixup=0.4), Mixing(cutmix=1.0), Mixing(mixup=0.4, cutmix=1.0)]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(side: int = 10) -> tuple[torch.Tensor, torch.Tensor]:
    """Return N pictures, every pixel of picture i is a one in channel i, and their classes: all different."""
    return torch.eye(N)[:, :, None, None].repeat(1, 1, side, side), torch.eye(N)


@pytest.mark.parametrize("mixing", KINDS)
@pytest.mark.parametrize("seed", range(8))
def test_targets_say_how_much_of_every_picture_is_there(mixing: Mixing, seed: int) -> None:
    """Also of cutmix, whose rectangle is rounded to whole pixels: the area that is there counts."""
    batch, targets = numbered(side=7)
    mixed, soft, _ = mix(batch, targets, mixing, generator(seed))
    torch.testing.assert_close(soft.sum(1), torch.ones(N))
    torch.testing.assert_close(mixed.mean((2, 3)), soft, atol=1e-6, rtol=0)


def test_cutmix_pastes_one_rectangle_and_mixes_no_pixel() -> None:
    mixed, soft, _ = mix(*numbered(), Mixing(cutmix=1.0), generator(3))
    assert set(mixed.unique().tolist()) <= {0.0, 1.0}
    row = int(soft.amax(1).argmin())  # one that was mixed with another
    foreign = mixed[row, row] == 0
    assert int(foreign.any(1).sum() * foreign.any(0).sum()) == int(foreign.sum()) > 0


def test_mixup_blends_every_pixel_alike() -> None:
    mixed, soft, _ = mix(*numbered(), Mixing(mixup=0.4), generator(3))
    torch.testing.assert_close(mixed, soft[:, :, None, None].expand_as(mixed))
    assert (soft.amax(1) < 1).any()


def test_shares_follow_their_distribution() -> None:
    """Beta(a, a) has the mean 1/2 and the variance 1 / (8 a + 4); the greater alpha, the nearer to one half."""
    for alpha in (0.2, 2.0):
        draws = generator(0)
        pictures, targets = torch.tensor([[0.0], [1.0]]), torch.eye(2)
        shares = np.array([float(mix(pictures, targets, Mixing(mixup=alpha), draws)[1][0, 0]) for _ in range(1200)])
        mixed = shares[shares < 1 - 1e-4]  # every second time the partner is the picture itself
        assert abs(mixed.mean() - 0.5) < 0.06
        assert mixed.var() == pytest.approx(1 / (8 * alpha + 4), rel=0.25)


@pytest.mark.parametrize("alpha", [0.01, 0.1, 1.0])
def test_a_small_alpha_mixes_least(alpha: float) -> None:
    draws = generator(0)
    shares = np.array([_beta(alpha, draws) for _ in range(2000)])
    assert ((shares >= 0) & (shares <= 1)).all()
    assert shares.var() == pytest.approx(1 / (8 * alpha + 4), rel=0.1)
    assert (shares == 0.5).mean() < 0.01


def test_without_mixing_nothing_is_done_and_nothing_is_drawn() -> None:
    batch, targets = numbered()
    draws = generator()
    before = draws.get_state()
    same, targets_too, _ = mix(batch, targets, Mixing(), draws)
    assert same is batch
    assert targets_too is targets
    assert torch.equal(draws.get_state(), before)


def test_a_single_picture_has_no_partner() -> None:
    batch, targets = numbered()
    torch.testing.assert_close(mix(batch[:1], targets[:1], Mixing(0.4, 1.0), generator())[0], batch[:1])


def test_what_is_no_map_is_blended() -> None:
    tokens = torch.eye(N)[:, None].repeat(1, 5, 1)
    mixed, soft, _ = mix(tokens, torch.eye(N), Mixing(cutmix=1.0), generator(1))
    torch.testing.assert_close(mixed, soft[:, None].expand_as(mixed))


def test_the_same_generator_mixes_the_same_way_and_leaves_the_batch_alone() -> None:
    batch, targets = numbered()
    kept = batch.clone()
    first, again, other = (mix(batch, targets, Mixing(0.4, 1.0), generator(seed))[0] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(batch, kept)


def test_columns_that_were_pooled_before_are_mixed_as_the_targets_are() -> None:
    batch, targets = numbered()
    columns = torch.eye(len(batch))  # row i says which picture it is of, as the targets do
    for mixing in (Mixing(mixup=0.4), Mixing(cutmix=1.0)):
        _, soft, pooled = mix(batch, targets, mixing, generator(5), {7: columns})
        assert not torch.equal(pooled[7], columns)
        torch.testing.assert_close(pooled[7] @ targets, soft)


@pytest.mark.parametrize("seed", range(4))
def test_a_map_whose_channels_come_last_is_pasted_like_any_other(seed: int) -> None:
    batch, targets = numbered()
    expected, soft, _ = mix(batch, targets, Mixing(cutmix=1.0), generator(seed))
    last = batch.permute(0, 2, 3, 1).contiguous()
    mixed, soft_too, _ = mix(last, targets, Mixing(cutmix=1.0), generator(seed), layout="map_last")
    assert torch.equal(mixed, expected.permute(0, 2, 3, 1))
    assert torch.equal(soft_too, soft)
    assert mixed.is_contiguous()


def test_four_axes_that_are_no_map_are_blended() -> None:
    windows = torch.eye(N)[:, None, None].repeat(1, 2, 5, 1)
    mixed, soft, _ = mix(windows, torch.eye(N), Mixing(cutmix=1.0), generator(1), layout="tokens")
    torch.testing.assert_close(mixed, soft[:, None, None].expand_as(mixed))

from __future__ import annotations

import json

import pytest
import torch

from automl_tl.augment.policy import VIEWS, ZOOM_SHARE, AugmentationPolicy, Variation, apply, augment, fixed_view, vary


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def smooth(n: int = 4, side: int = 16) -> torch.Tensor:
    rows = torch.linspace(0, 1, side)
    picture = torch.stack([rows[:, None].expand(side, side), rows[None].expand(side, side), rows[None] * rows[:, None]])
    return picture[None].repeat(n, 1, 1, 1)


def test_the_default_policy_changes_nothing() -> None:
    batch = torch.rand(3, 3, 9, 12)
    torch.testing.assert_close(augment(batch, AugmentationPolicy(), generator()), batch, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("field", "view"), [("hflip", "hflip"), ("vflip", "vflip")])
def test_a_certain_flip_is_the_fixed_view(field: str, view: str) -> None:
    batch = torch.rand(2, 3, 8, 10)
    flipped = augment(batch, AugmentationPolicy(**{field: 1.0}), generator())
    torch.testing.assert_close(flipped, fixed_view(batch, view), atol=1e-5, rtol=0)


@pytest.mark.parametrize("view", [view for view in VIEWS if view != "zoom"])
def test_views_are_their_own_inverse(view: str) -> None:
    batch = torch.rand(2, 3, 4, 5)
    assert torch.equal(fixed_view(fixed_view(batch, view), view), batch)


def test_the_zoomed_view_is_the_middle_at_the_old_size() -> None:
    batch = smooth(2, 20)
    batch[:, :, 0], batch[:, :, -1] = 9.0, 9.0  # the border is not looked at
    seen = fixed_view(batch, "zoom")
    assert seen.shape == batch.shape
    inner = batch[:, :, 2:18, 2:18]
    assert seen.max() <= inner.max() + 1e-6
    torch.testing.assert_close(seen.mean((2, 3)), inner.mean((2, 3)), atol=2e-3, rtol=0)
    step = (seen[0, 1, 10, 1:] - seen[0, 1, 10, :-1]).median() / (batch[0, 1, 10, 1:] - batch[0, 1, 10, :-1]).median()
    assert step == pytest.approx(ZOOM_SHARE, rel=1e-3)


def test_the_same_generator_gives_the_same_pictures() -> None:
    policy = AugmentationPolicy(0.5, 0.5, 20, (0.8, 1.2), 0.5)
    batch = torch.rand(6, 3, 16, 16)
    first, again, other = (augment(batch, policy, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_every_picture_is_varied_on_its_own() -> None:
    out = augment(smooth(), AugmentationPolicy(rotation=30), generator())
    assert not torch.allclose(out[0], out[1])


def test_a_zoom_above_one_magnifies_the_middle() -> None:
    batch = smooth(1)
    out = augment(batch, AugmentationPolicy(scale=(2.0, 2.0)), generator())
    assert out.std() < 0.7 * batch.std()  # half of the range is left
    torch.testing.assert_close(out.mean(), batch.mean(), atol=0.02, rtol=0)


def test_a_crop_never_looks_outside_the_picture() -> None:
    batch = torch.full((32, 3, 16, 16), 0.0)
    batch[:, :, 1:-1, 1:-1] = 1.0  # a frame of zeros: what mirrors the border would repeat it
    out = augment(batch, AugmentationPolicy(crop=0.3), generator())
    magnified = out.mean(dim=(1, 2, 3))
    assert (magnified > batch.mean() - 0.15).all()
    assert magnified.std() > 0  # windows lie in different places


def test_description_names_what_is_on() -> None:
    assert AugmentationPolicy().describe() == "none"
    assert AugmentationPolicy(vflip=0.5, crop=0.8).describe() == "flip upside down, crops of 80% of the area or more"


def test_a_policy_survives_json() -> None:
    policy = AugmentationPolicy(0.5, 0.0, 12.5, (0.8, 1.25), 0.6, 0.3, 0.2)
    assert AugmentationPolicy.from_dict(json.loads(json.dumps(policy.to_dict()))) == policy


def test_colours_change_by_no_more_than_they_may_and_each_picture_by_its_own() -> None:
    grey = torch.full((64, 3, 4, 4), 0.5)
    out = augment(grey, AugmentationPolicy(colour=0.4), generator())
    assert out.amax() <= 0.5 * 1.4 * 1.4 + 1e-4
    assert out.amin() >= 0.5 * 0.6 * 0.6 - 1e-4
    assert out[:, 0, 0, 0].unique().numel() > 60
    torch.testing.assert_close(out, out[:, :1, :1, :1].expand_as(out), atol=1e-4, rtol=0)  # grey stays grey


def test_contrast_is_about_the_mean() -> None:
    """A picture of one colour has none, and another one keeps its mean."""
    only_contrast = torch.tensor([[1.0, 1.3, 1.0]])
    variation = Variation(vary(AugmentationPolicy(), 1, 16, 16, generator()).affine, only_contrast, None)
    plain = torch.full((1, 3, 16, 16), 0.4)
    torch.testing.assert_close(apply(plain, variation), plain, atol=1e-5, rtol=0)
    varied = 0.5 + 0.3 * (smooth(1) - 0.5)
    recoloured = apply(varied, variation)
    assert recoloured.std() > 1.2 * varied.std()
    assert float(recoloured.mean()) == pytest.approx(float(varied.mean()), abs=0.02)


def test_recoloured_pictures_stay_between_black_and_white() -> None:
    out = augment(torch.rand(32, 3, 8, 8), AugmentationPolicy(colour=1.0), generator())
    assert out.amin() >= 0
    assert out.amax() <= 1


def test_colours_leave_shapes_where_they_are() -> None:
    batch = torch.zeros(8, 3, 8, 8)
    batch[:, 0, 2:5, 3:7] = 0.8
    out = augment(batch, AugmentationPolicy(colour=0.4), generator())
    torch.testing.assert_close(out[:, :, 2:5, 3:7].std((2, 3)), torch.zeros(8, 3), atol=1e-4, rtol=0)
    assert (out[:, 0, 2:5, 3:7].mean((1, 2)) > out[:, 0, 0, 0] + 0.2).all()


def test_what_is_erased_is_one_grey_rectangle_of_the_promised_area() -> None:
    out = augment(torch.zeros(200, 3, 32, 32), AugmentationPolicy(erase=1.0), generator())
    grey = out[:, 0] == 0.5
    assert torch.equal(out[:, 0], out[:, 1])
    shares = grey.float().mean((1, 2))
    assert shares.min() > 0.005  # 2 % but for the rounding to pixels
    assert shares.max() < 0.25
    boxes = grey.any(2).sum(1) * grey.any(1).sum(1)
    assert torch.equal(boxes, grey.sum((1, 2)))


def test_a_part_is_erased_as_often_as_asked() -> None:
    out = augment(torch.zeros(400, 3, 16, 16), AugmentationPolicy(erase=0.25), generator())
    assert 0.17 < float((out.amax((1, 2, 3)) > 0).float().mean()) < 0.33


def test_a_variation_of_some_pictures_is_that_of_all_of_them() -> None:
    policy = AugmentationPolicy(0.5, 0.5, 20, (0.8, 1.2), 0.5, 0.3, 0.5)
    batch = torch.rand(9, 3, 16, 16)
    variation, rows = vary(policy, 9, 16, 16, generator()), torch.tensor([7, 2, 2])
    torch.testing.assert_close(apply(batch, variation)[rows], apply(batch[rows], variation.take(rows)))

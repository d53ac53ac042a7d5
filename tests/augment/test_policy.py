from __future__ import annotations

import pytest
import torch

from automl_tl.augment.policy import VIEWS, AugmentationPolicy, augment, fixed_view


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


def test_views_are_their_own_inverse() -> None:
    batch = torch.rand(2, 3, 4, 5)
    for view in VIEWS:
        assert torch.equal(fixed_view(fixed_view(batch, view), view), batch)


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

"""Resizing as matrix products gives Pillow's pixels."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from automl_tl.backbones.validation import INTERPOLATIONS
from automl_tl.data.decode import FITS, Preprocessing, preprocess
from automl_tl.errors import OptionError
from automl_tl.model.resampling import FILTERS, resample


def by_pillow(pixels: np.ndarray, how: Preprocessing) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "BMP")
    return preprocess(file.getvalue(), how).transpose(2, 0, 1)


def resampled(pixels: np.ndarray, how: Preprocessing) -> np.ndarray:
    return resample(torch.from_numpy(pixels)[None], how)[0].numpy()


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 200),
    st.integers(1, 200),
    st.integers(4, 64),
    st.sampled_from(FITS),
    st.sampled_from(["bilinear", "bicubic"]),
    st.sampled_from([1.0, 0.875]),
)
def test_pictures_are_pillows(height: int, width: int, size: int, fit: str, filter_: str, crop_pct: float) -> None:
    how = Preprocessing(size, fit, filter_, crop_pct, (1, 2, 3))
    pixels = picture(height, width)
    np.testing.assert_array_equal(resampled(pixels, how), by_pillow(pixels, how))


@pytest.mark.parametrize("size", [32, 61, 260])
def test_so_are_pictures_of_another_models_size(size: int) -> None:
    """As in an ensemble of two sizes: ties are Pillow's, too."""
    pixels = picture(224, 224)
    for filter_ in ("bilinear", "bicubic"):
        how = Preprocessing(size, "squash", filter_)
        np.testing.assert_array_equal(resampled(pixels, how), by_pillow(pixels, how))


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("filter_", sorted(FILTERS))
def test_a_picture_of_the_models_size_stays_as_it_is(fit: str, filter_: str) -> None:
    pixels = picture(48, 48)
    assert np.array_equal(resampled(pixels, Preprocessing(48, fit, filter_)), pixels.transpose(2, 0, 1))


def test_nearest_takes_pillows_pixels() -> None:
    how = Preprocessing(7, "squash", "nearest")  # no centre lies on a border
    pixels = picture(30, 45)
    assert np.array_equal(resampled(pixels, how), by_pillow(pixels, how))


@pytest.mark.parametrize("shape", [(3, 900), (900, 3)])
def test_the_far_ends_are_cut_off_and_the_padding_is_filled(shape: tuple[int, int]) -> None:
    pixels = picture(*shape)
    for fit in ("crop", "pad"):
        how = Preprocessing(16, fit, "bilinear")
        assert np.abs(by_pillow(pixels, how) - resampled(pixels, how)).max() <= 1


def test_floating_point_pictures_are_not_rounded_and_pass_gradients() -> None:
    how = Preprocessing(8, "squash", "bilinear")
    pixels = picture(20, 30)
    given = (torch.from_numpy(pixels)[None].float() / 255).requires_grad_()
    found = resample(given, how)
    assert 0.05 < np.abs(found.detach()[0].numpy() - resampled(pixels, how)).max() <= 1.01
    found.sum().backward()
    assert given.grad is not None
    assert given.grad.sum() == pytest.approx(3 * 8 * 8 * 255, rel=1e-4)  # every new pixel is a mean of old ones


def test_what_backbones_may_ask_for_is_known() -> None:
    assert set(FILTERS) == set(INTERPOLATIONS)
    with pytest.raises(OptionError, match="lanczos"):
        resampled(picture(5, 5), replace(Preprocessing(8), interpolation="lanczos"))

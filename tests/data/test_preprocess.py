"""Squash, pad and crop."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from automl_tl.data.decode import Preprocessing, preprocess
from automl_tl.errors import OptionError, PictureError


def png(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1, **options)
    return buffer.getvalue()


def stripes(size: tuple[int, int]) -> Image.Image:
    """Left third red, middle green, right blue."""
    image = Image.new("RGB", size, (0, 255, 0))
    third = size[0] // 3
    image.paste((255, 0, 0), (0, 0, third, size[1]))
    image.paste((0, 0, 255), (size[0] - third, 0, *size))
    return image


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 90),
    st.integers(1, 90),
    st.integers(1, 40),
    st.sampled_from(["squash", "pad", "crop"]),
    st.sampled_from([1.0, 0.875, 0.5]),
    st.sampled_from(["nearest", "bilinear", "bicubic", "lanczos"]),
)
def test_the_result_is_a_square_of_bytes(w: int, h: int, size: int, fit: str, crop_pct: float, how: str) -> None:
    result = preprocess(png(Image.new("RGB", (w, h), (9, 9, 9))), Preprocessing(size, fit, how, crop_pct))
    assert result.shape == (size, size, 3)
    assert result.dtype == np.uint8
    assert result.flags.writeable


def test_squash_keeps_the_whole_picture() -> None:
    result = preprocess(png(stripes((300, 100))), Preprocessing(60, "squash"))
    assert result[30, 2, 0] == result[30, 57, 2] == result[30, 30, 1] == 255


def test_squash_equals_pillows_resize() -> None:
    image = Image.effect_noise((130, 90), 60).convert("RGB")
    for name in ("bilinear", "bicubic"):
        expected = np.asarray(image.resize((64, 64), Image.Resampling[name.upper()]))
        np.testing.assert_array_equal(preprocess(png(image), Preprocessing(64, "squash", name)), expected)


@pytest.mark.parametrize("size", [(300, 100), (100, 300)])
def test_pad_keeps_the_shape_and_fills_the_rest(size: tuple[int, int]) -> None:
    fill = (1, 2, 3)
    result = preprocess(png(Image.new("RGB", size, (200, 200, 200))), Preprocessing(60, "pad", fill=fill))
    result = result if size[0] > size[1] else result.transpose(1, 0, 2)
    assert (result[:20] == fill).all()
    assert (result[40:] == fill).all()
    assert (result[20:40] == 200).all()


def test_crop_takes_the_centre() -> None:
    result = preprocess(png(stripes((300, 100))), Preprocessing(60, "crop"))
    assert (result[:, :, 1] > 250).mean() > 0.95


@pytest.mark.parametrize("size", [(256, 256), (320, 240), (240, 333)])
def test_crop_resizes_and_cuts_as_timm_does(size: tuple[int, int]) -> None:
    image = Image.effect_noise(size, 60).convert("RGB")
    scaled, shorter = int(64 / 0.875), min(size)
    resized = image.resize([int(scaled * side / shorter) for side in size], Image.Resampling.BICUBIC)
    left, top = (round((side - 64) / 2.0) for side in resized.size)
    expected = np.asarray(resized.crop((left, top, left + 64, top + 64)))
    np.testing.assert_array_equal(preprocess(png(image), Preprocessing(64, "crop", "bicubic", 0.875)), expected)


def test_crop_pct_matters_for_crop_only() -> None:
    data = png(stripes((90, 90)))
    for fit, same in (("squash", True), ("pad", True), ("crop", False)):
        whole, part = (preprocess(data, Preprocessing(30, fit, crop_pct=share)) for share in (1.0, 0.5))
        assert np.array_equal(whole, part) == same


@pytest.mark.parametrize("fit", ["squash", "pad", "crop"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_gives_the_same_as_an_upright_one(fit: str, orientation: int) -> None:
    upright = Image.effect_noise((120, 80), 60).convert("RGB")
    upright.paste((255, 0, 0), (0, 0, 40, 30))
    turns = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the transposition that undoes each orientation
    stored = upright if orientation == 1 else upright.transpose(Image.Transpose(turns[orientation]))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    how = Preprocessing(32, fit)
    difference = preprocess(png(stored, exif=exif), how).astype(int) - preprocess(png(upright), how)
    assert np.abs(difference).max() <= 2


@pytest.mark.parametrize("size", [(1, 4000), (4000, 1), (1, 1), (7000, 3)])
@pytest.mark.parametrize("fit", ["squash", "pad", "crop"])
def test_extreme_shapes_do_not_explode(fit: str, size: tuple[int, int]) -> None:
    result = preprocess(png(Image.new("RGB", size, (50, 60, 70))), Preprocessing(224, fit, crop_pct=0.875))
    assert tuple(result[112, 112]) == (50, 60, 70)


def test_a_jpeg_decoded_at_a_reduced_size_looks_the_same() -> None:
    image = Image.effect_noise((100, 75), 60).convert("RGB").resize((1600, 1200), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95)
    fast = preprocess(buffer.getvalue(), Preprocessing(64, "squash")).astype(int)
    full = preprocess(png(image), Preprocessing(64, "squash"))
    assert np.abs(fast - full).mean() < 1.5


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"size": 0}, "size must be at least 1"),
        ({"fit": "stretch"}, "fit must be one of squash, pad, crop, but got 'stretch'"),
        ({"interpolation": "area"}, "interpolation must be one of"),
        ({"crop_pct": 0.0}, "0 < crop_pct <= 1"),
        ({"crop_pct": 1.2}, "0 < crop_pct <= 1"),
    ],
)
def test_senseless_options(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(OptionError, match=sentence):
        Preprocessing(**{"size": 32, **options})  # type: ignore[arg-type]


def test_an_unreadable_picture() -> None:
    with pytest.raises(PictureError, match="not a picture"):
        preprocess(b"nothing", Preprocessing(32))

"""Every kind of picture becomes right RGB, every kind of fault a short reason."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from automl_tl.data import decode
from automl_tl.data.decode import FORMATS, Preprocessing, preprocess, read_rgb
from automl_tl.data.rgb import to_rgb
from automl_tl.data.value_range import ValueRange
from automl_tl.data.walk import PICTURE_ENDINGS
from automl_tl.errors import DataError, PictureError

RED, WHITE = (255, 0, 0), (255, 255, 255)
RAMP = np.tile(np.linspace(0, 255, 64).round().astype(np.uint8), (48, 1))
"""Grey from black (left) to white (right), (48, 64)."""


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def grey(image: Image.Image) -> np.ndarray:
    pixels = np.asarray(image).astype(int)
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0]


def deep(values: np.ndarray, form: str) -> bytes:
    """Encode values of more than 8 bits."""
    return encoded(Image.fromarray(values), form)


# --- modes ------------------------------------------------------------------------------------------


def in_mode(mode: str) -> Image.Image:
    ramp = Image.fromarray(RAMP)
    return ramp.convert("P") if mode == "P" else ramp.convert("RGB").convert(mode)  # RGB to P would be dithered


def modes_and_formats() -> list[tuple[str, str]]:
    """Return the pairs that Pillow can write."""
    pairs = itertools.product(
        ["L", "RGB", "P", "CMYK", "YCbCr", "RGBA", "LA", "1", "HSV", "RGBX"],
        ["PNG", "TIFF", "JPEG", "GIF", "WEBP", "BMP", "TGA", "JPEG2000", "PPM", "PCX", "AVIF", "DDS", "SGI"],
    )
    possible = []
    for mode, form in pairs:
        with contextlib.suppress(OSError, ValueError, KeyError):
            encoded(in_mode(mode), form)
            possible.append((mode, form))
    return possible


@pytest.mark.parametrize(("mode", "form"), modes_and_formats())
def test_every_mode_that_a_format_can_hold_becomes_rgb(mode: str, form: str) -> None:
    image = read_rgb(encoded(in_mode(mode), form))
    assert image.mode == "RGB"
    assert image.size == (64, 48)
    if mode != "1" and form != "GIF":
        assert np.abs(np.asarray(image).astype(int) - RAMP[..., None]).max() <= 12


def test_an_icon_has_the_largest_of_its_pictures() -> None:
    assert read_rgb(encoded(Image.new("RGB", (64, 64)), "ICO", sizes=[(16, 16), (64, 64), (32, 32)])).size == (64, 64)


@pytest.mark.parametrize("form", ["PNG", "TIFF", "PPM", "JPEG2000"])
def test_sixteen_bits_of_grey_are_divided_by_257(form: str) -> None:
    image = read_rgb(deep(RAMP.astype(np.uint16) * 257, form))
    assert np.abs(grey(image) - RAMP).max() <= (1 if form == "JPEG2000" else 0)


def test_big_endian_sixteen_bits() -> None:
    values = (RAMP.astype(np.uint16) * 257).astype(">u2")
    image = Image.frombytes("I;16B", (64, 48), values.tobytes())
    np.testing.assert_array_equal(grey(read_rgb(encoded(image, "TIFF"))), RAMP)


def test_a_dark_sixteen_bit_png_stays_dark_beside_a_bright_one() -> None:
    how = Preprocessing(48, "pad", value_range=ValueRange(0, 65535))
    dark = preprocess(deep(RAMP[:, :48].astype(np.uint16) * 10, "PNG"), how)
    assert dark.max() == round(int(RAMP[:, :48].max()) * 10 / 257)


@pytest.mark.parametrize("form", ["PNG", "TIFF", "JPEG2000"])
def test_twelve_bits_in_sixteen_use_their_own_scale(form: str) -> None:
    values = np.round(RAMP * (4095 / 255)).astype(np.uint16)
    assert np.abs(grey(read_rgb(deep(values, form))) - RAMP).max() <= (1 if form == "JPEG2000" else 0)


def test_a_portable_grey_map_of_ten_bits_uses_its_own_scale() -> None:
    values = np.round(RAMP * (1023 / 255)).astype(">u2")
    image = read_rgb(b"P5 64 48 1023\n" + values.tobytes())
    assert np.abs(grey(image) - RAMP).max() <= 1


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_values_without_a_scale_use_the_pictures_own_range(dtype: type) -> None:
    image = read_rgb(deep(RAMP.astype(dtype) * 3 - 100, "TIFF"))
    np.testing.assert_array_equal(grey(image), RAMP)


def test_floating_point_holes_become_black_and_do_not_spoil_the_range() -> None:
    values = RAMP.astype(np.float32)
    values[0, :3] = [np.nan, np.inf, -np.inf]
    pixels = grey(read_rgb(deep(values, "TIFF")))
    assert pixels[0, :3].tolist() == [0, 255, 0]
    np.testing.assert_array_equal(pixels[1:], RAMP[1:])


@pytest.mark.parametrize("value", [0.0, 7.5, np.nan])
def test_a_constant_floating_point_picture_is_black(value: float) -> None:
    assert grey(read_rgb(deep(np.full((5, 5), value, np.float32), "TIFF"))).max() == 0


def test_one_bit_is_black_and_white() -> None:
    image = Image.new("1", (9, 9), 1)
    image.putpixel((0, 0), 0)
    pixels = grey(read_rgb(encoded(image)))
    assert pixels[0, 0] == 0
    assert pixels[1:].min() == 255


def test_cmyk_is_not_inverted() -> None:
    image = Image.new("RGB", (16, 16), RED).convert("CMYK")
    for form in ("TIFF", "JPEG"):
        red, green, blue = np.asarray(read_rgb(encoded(image, form)))[8, 8]
        assert red > 230
        assert max(green, blue) < 25


def _half_transparent(mode: str) -> Image.Image:
    image = Image.new("RGBA", (10, 10), (255, 0, 0, 128))
    image.paste((0, 0, 0, 0), (0, 0, 5, 10))
    return image.convert(mode)


def test_transparency_is_laid_over_white() -> None:
    pixels = np.asarray(read_rgb(encoded(_half_transparent("RGBA"))))
    assert tuple(pixels[5, 0]) == WHITE
    assert np.abs(pixels[5, 9].astype(int) - (255, 127, 127)).max() <= 1


def test_grey_with_transparency() -> None:
    image = Image.merge("LA", (Image.new("L", (4, 4), 0), Image.new("L", (4, 4), 0)))
    assert grey(read_rgb(encoded(image))).min() == 255


@pytest.mark.parametrize("transparency", [0, bytes([0, 255])])
def test_a_palette_with_transparency(transparency: int | bytes) -> None:
    image = Image.new("P", (6, 6), 0)
    image.putpalette([0, 0, 255, 255, 0, 0])
    image.putpixel((0, 0), 1)
    pixels = np.asarray(read_rgb(encoded(image, transparency=transparency)))
    assert tuple(pixels[0, 0]) == RED
    assert tuple(pixels[3, 3]) == WHITE


def test_a_palette_without_transparency() -> None:
    image = Image.new("P", (6, 6), 0)
    image.putpalette([0, 0, 255, 255, 0, 0])
    assert tuple(np.asarray(read_rgb(encoded(image)))[3, 3]) == (0, 0, 255)


@pytest.mark.parametrize(("mode", "colour"), [("RGB", RED), ("L", 9), ("1", 1)])
def test_a_transparent_colour(mode: str, colour: int | tuple[int, int, int]) -> None:
    image = Image.new(mode, (4, 4), colour)
    data = encoded(image, transparency=255 if mode == "1" else colour)
    assert tuple(np.asarray(read_rgb(data))[0, 0]) == WHITE


def test_a_transparent_value_of_sixteen_bits() -> None:
    values = np.full((4, 4), 1000, np.uint16)
    values[0, 0] = 40_000
    pixels = grey(read_rgb(encoded(Image.fromarray(values), transparency=1000)))
    assert pixels[0, 0] == round(40_000 / 257)
    assert pixels[1:].min() == 255


@pytest.mark.parametrize("form", ["GIF", "WEBP", "TIFF", "PNG"])
def test_of_several_frames_the_first_counts(form: str) -> None:
    first, second = Image.new("RGB", (20, 20), RED), Image.new("RGB", (20, 20), (0, 0, 255))
    red, _, blue = np.asarray(read_rgb(encoded(first, form, save_all=True, append_images=[second])))[10, 10]
    assert red > 200
    assert blue < 60


@pytest.mark.parametrize("mode", ["PA", "La", "RGBa"])
def test_modes_that_only_decoders_make(mode: str) -> None:
    clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    image = clear.convert("LA").convert("La") if mode == "La" else clear.convert(mode)
    assert tuple(np.asarray(to_rgb(image))[0, 0]) == WHITE


def test_lab_colours() -> None:
    image = Image.merge("LAB", [Image.new("L", (4, 4), value) for value in (255, 128, 128)])
    assert np.asarray(read_rgb(encoded(image, "TIFF"))).min() > 240


# --- orientation ------------------------------------------------------------------------------------


def upright_and_stored(orientation: int, size: tuple[int, int] = (60, 40)) -> tuple[Image.Image, Image.Image]:
    """Return a picture with four coloured quarters, and how a camera held otherwise stores it."""
    upright = Image.new("RGB", size, RED)
    width, height = size
    upright.paste((0, 255, 0), (width // 2, 0, width, height // 2))
    upright.paste((0, 0, 255), (0, height // 2, width // 2, height))
    back = {5: 5, 6: 8, 7: 7, 8: 6}.get(orientation, orientation)  # the turn that undoes the turn
    return upright, decode.Decoded(upright, back, size).upright(upright)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(orientation: int, form: str) -> None:
    upright, stored = upright_and_stored(orientation)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    data = encoded(stored, form, exif=exif)
    decoded = decode.decode(data)
    assert decoded.size == upright.size
    difference = np.asarray(read_rgb(data)).astype(int) - np.asarray(upright)
    assert np.abs(difference).mean() < 8


def test_the_result_is_not_turned_twice() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    image = read_rgb(encoded(Image.new("RGB", (60, 40)), "JPEG", exif=exif))
    again = read_rgb(encoded(image, "PNG"))
    assert image.size == again.size == (40, 60)


def test_damaged_exif_data_do_not_matter() -> None:
    data = encoded(Image.new("RGB", (30, 20), RED), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff broken")
    assert read_rgb(data).size == (30, 20)


def test_an_orientation_that_does_not_exist_is_ignored() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 77
    assert read_rgb(encoded(Image.new("RGB", (30, 20)), "JPEG", exif=exif)).size == (30, 20)


# --- sizes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1600, 1200), (1203, 1601), (400, 4000), (300, 299), (40, 30)])
def test_reduced_decoding_keeps_at_least_twice_the_need(size: tuple[int, int]) -> None:
    data = encoded(Image.effect_noise(size, 50).convert("RGB"), "JPEG", quality=50)
    image = read_rgb(data, min_side=100)
    assert min(image.size) >= min(200, min(size))
    assert abs(image.width / image.height - size[0] / size[1]) / (size[0] / size[1]) < 0.02


def test_reduced_decoding_reduces() -> None:
    data = encoded(Image.new("RGB", (1600, 1200), RED), "JPEG")
    assert read_rgb(data, min_side=150).size == (400, 300)
    assert read_rgb(data).size == (1600, 1200)


def test_too_many_pixels_are_refused_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "MAX_PIXELS", 99)
    with pytest.raises(PictureError, match="too large: 10 x 10 is more than 99 pixels"):
        read_rgb(encoded(Image.new("RGB", (10, 10))))


def test_a_picture_like_a_thread_is_refused_before_it_is_made_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """1 x 100,000,000 pixels are few bytes, and as wide as a network takes them they are 83 GiB."""
    monkeypatch.setattr(decode, "MAX_PIXELS", 10_000)
    thread = Image.new("RGB", (1, 5_000))
    for fit in ("pad", "crop"):
        assert preprocess(np.asarray(thread), Preprocessing(8, fit)).shape == (8, 8, 3)
    with pytest.raises(PictureError, match="too long: 1 x 5000"):
        preprocess(np.asarray(thread), Preprocessing(8))


def _png_of_size(width: int, height: int) -> bytes:
    """A PNG whose header promises much and whose data hold next to nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [11_000, 20_000, 2_000_000])
def test_a_decompression_bomb_is_too_large(side: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(PictureError, match=r"too large: .*100,000,000 pixels"):
            read_rgb(_png_of_size(side, side))


def test_large_pictures_are_decoded_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lock:
        used = 0

        def __enter__(self) -> None:
            self.used += 1

        def __exit__(self, *_: object) -> None: ...

    lock = Lock()
    monkeypatch.setattr(decode, "_one_large_picture", lock)
    monkeypatch.setattr(decode, "_MANY_PIXELS", 10)
    read_rgb(encoded(Image.new("RGB", (3, 3))))
    assert lock.used == 0
    read_rgb(encoded(Image.new("RGB", (4, 4))))
    assert lock.used == 1


# --- faults -----------------------------------------------------------------------------------------

PHOTO = encoded(Image.effect_noise((64, 64), 60).convert("RGB"), "JPEG")
DRAWING = encoded(Image.effect_noise((64, 64), 60).convert("RGB"))

FAULTS = {
    "zero bytes": (b"", "empty (0 bytes)"),
    "text": (b"hello, I am a text file\n" * 50, "not a picture"),
    "one byte": (b"\xff", "not a picture"),
    "zeros": (bytes(5000), "not a picture"),
    "half a JPEG": (PHOTO[: len(PHOTO) // 2], "truncated or damaged"),
    "a JPEG's first bytes": (PHOTO[:20], ""),
    "half a PNG": (DRAWING[: len(DRAWING) // 2], "truncated or damaged"),
    "a PNG's header": (DRAWING[:33], ""),
    "a damaged PNG": (DRAWING[:60] + bytes(100) + DRAWING[160:], "truncated or damaged"),
    "half a TIFF": (encoded(Image.fromarray(RAMP), "TIFF")[:500], ""),
    "half a GIF": (encoded(Image.fromarray(RAMP), "GIF")[:300], "truncated or damaged"),
    "half a WebP": (encoded(Image.fromarray(RAMP).convert("RGB"), "WEBP", lossless=True)[:-60], ""),
    "half a BMP": (encoded(Image.fromarray(RAMP), "BMP")[:1200], "truncated or damaged"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
    "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "not a picture"),
    "a web page under a picture's name": (b"<!DOCTYPE html><html><body>404</body></html>", "not a picture"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_have_a_short_reason(fault: str) -> None:
    data, reason = FAULTS[fault]
    with pytest.raises(PictureError) as caught:
        read_rgb(data)
    assert reason in str(caught.value)
    assert 0 < len(str(caught.value)) < 120
    assert isinstance(caught.value, DataError)


def test_noise_in_place_of_bytes_never_escapes() -> None:
    """Whatever Pillow's plugins throw on damaged files is a PictureError."""
    rng = np.random.default_rng(0)
    forms = ["PNG", "JPEG", "TIFF", "GIF", "WEBP", "BMP", "TGA", "PCX", "ICO", "JPEG2000", "AVIF", "PPM", "DDS"]
    whole = [encoded(Image.fromarray(RAMP).convert("RGB"), form) for form in forms]
    outcomes = set()
    for data in whole:
        for _ in range(25):
            broken = bytearray(data[: rng.integers(1, len(data) + 1)])
            for place in rng.integers(0, len(broken), 6):
                broken[place] = rng.integers(0, 256)
            try:
                outcomes.add(type(read_rgb(bytes(broken))))
            except PictureError:
                outcomes.add(PictureError)
    assert PictureError in outcomes


@pytest.mark.parametrize(
    "error",
    [OSError("x"), SyntaxError("x"), ValueError(), struct.error("x"), EOFError(), IndexError("x"), KeyError(1),
     ZeroDivisionError(), RecursionError(), NotImplementedError()],
)  # fmt: skip
def test_whatever_a_decoder_throws_is_a_picture_error(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(PictureError, match="truncated or damaged"):
        read_rgb(PHOTO)


def test_too_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(PictureError, match="memory"):
        read_rgb(PHOTO)


def test_an_interruption_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Image, "open", interrupt)
    with pytest.raises(KeyboardInterrupt):
        read_rgb(PHOTO)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="cannot be read: No such file") as caught:
        read_rgb(tmp_path / "no.jpg")
    assert "no.jpg" in "".join(caught.value.__notes__)


def test_a_folder_in_place_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="cannot be read"):
        read_rgb(tmp_path)


def test_the_ending_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "really_a_png.jpg"
    path.write_bytes(DRAWING)
    assert read_rgb(path).size == (64, 64)


def test_files_are_closed(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(DRAWING)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        read_rgb(path)
    os.remove(path)


# --- HEIC and AVIF ----------------------------------------------------------------------------------


def _heic(image: Image.Image) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif", reason="the extra heic is not installed")
    buffer = io.BytesIO()
    pillow_heif.from_pillow(image).save(buffer, quality=95)
    return buffer.getvalue()


def test_heic_is_read() -> None:
    pixels = np.asarray(read_rgb(_heic(Image.new("RGB", (64, 48), RED))))
    assert pixels.shape == (48, 64, 3)
    assert np.abs(pixels[20, 20].astype(int) - RED).max() < 12


def test_heic_without_the_extra_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(PictureError, match=r"pip install 'automl-tl\[heic\]'"):
        read_rgb(data)


def test_a_damaged_heic() -> None:
    data = _heic(Image.effect_noise((64, 48), 50).convert("RGB"))
    with pytest.raises(PictureError, match="truncated or damaged"):
        read_rgb(data[: len(data) // 2])


def test_avif_is_read() -> None:
    assert np.asarray(read_rgb(encoded(Image.new("RGB", (64, 48), RED), "AVIF")))[20, 20, 0] > 240


def test_avif_in_the_container_of_heif_is_not_taken_for_heic() -> None:
    assert not decode._is_heic(b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf")
    assert decode._is_heic(b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic")


# --- the process ------------------------------------------------------------------------------------


def test_only_safe_raster_formats() -> None:
    assert not {"EPS", "WMF", "FLI", "MPEG", "HDF5", "GRIB", "BUFR"} & set(FORMATS)
    Image.init()
    assert set(FORMATS) <= set(Image.OPEN)
    endings = {ending for ending, form in Image.registered_extensions().items() if form in FORMATS}
    assert endings <= PICTURE_ENDINGS
    assert {".heic", ".heif", ".avif", ".jpg", ".png"} <= PICTURE_ENDINGS


def test_threads_give_the_same_pixels() -> None:
    sources = [PHOTO, DRAWING, encoded(Image.fromarray(RAMP), "TIFF")] * 10
    alone = [np.asarray(read_rgb(source)) for source in sources]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda source: np.asarray(read_rgb(source)), sources))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)
    assert threading.active_count() < 20


def test_the_package_imports_no_torch() -> None:
    code = "import sys, automl_tl.data; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


WARNERS: dict[str, Callable[[], bytes]] = {
    "palette": lambda: encoded(Image.new("P", (6, 6), 0), transparency=bytes([0, 255])),
    "exif": lambda: encoded(Image.new("RGB", (9, 9)), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x05broken"),
}


@pytest.mark.parametrize("kind", WARNERS)
def test_pillow_warns_nobody(kind: str) -> None:
    data = WARNERS[kind]()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read_rgb(data)
    assert caught == []

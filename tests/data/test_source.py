"""A picture wherever it lies: files, bytes, pixels."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from noise import noise
from PIL import Image

from automl_tl.data.decode import read_rgb
from automl_tl.data.measure import measure
from automl_tl.data.measurements import MeasurementStore, measure_all
from automl_tl.data.source import File, Given, Readable, Source, as_source
from automl_tl.errors import PictureError


def content(picture: Readable) -> bytes:
    with as_source(picture).open() as file:
        return file.read()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    noise(1).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_a_file_and_its_bytes_are_the_same_picture(file: Path) -> None:
    records = [measure(one) for one in (file, str(file), file.read_bytes(), File(str(file)))]
    assert len({record.tobytes() for record in records}) == 1
    assert records[0]["sha256"].item().decode() == hashlib.sha256(file.read_bytes()).hexdigest()


def test_an_array_and_a_picture_of_pillow_are_the_same_picture(file: Path) -> None:
    image = Image.open(file)
    assert content(image) == content(np.array(image)) == content(image.convert("RGBA"))
    assert read_rgb(np.array(image)).tobytes() == read_rgb(file).tobytes()


@settings(deadline=None)  # a busy machine is no fault
@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
def test_pixels_stay_as_they_are(pixels: np.ndarray) -> None:
    assert np.array_equal(np.array(read_rgb(pixels)), pixels)


def test_a_picture_of_pillow_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    noise(1, (30, 20)).save(tmp_path / "a.jpg", exif=exif)
    upright = read_rgb(tmp_path / "a.jpg")
    assert upright.size == (20, 30)
    assert read_rgb(Image.open(tmp_path / "a.jpg")).tobytes() == upright.tobytes()


def test_deep_pixels_keep_their_values() -> None:
    deep = Image.fromarray(np.arange(256, dtype=np.uint16).reshape(16, 16) * 16)
    assert measure(deep)["high"] == 4080


@pytest.mark.parametrize("pixels", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_other_pixels_are_refused(pixels: np.ndarray) -> None:
    with pytest.raises(PictureError, match=r"pixels must be uint8 \(H, W, 3\), but are"):
        read_rgb(pixels)


def test_sources_can_be_pickled(file: Path) -> None:
    sources: list[Source] = [File(str(file)), Given("one", file.read_bytes()), Given("two", np.array(noise(1)))]
    for source in sources:
        copy = pickle.loads(pickle.dumps(source))
        assert (copy.name, content(copy)) == (source.name, content(source))


def test_pictures_in_memory_are_measured_every_time(tmp_path: Path) -> None:
    store = MeasurementStore.of(tmp_path, tmp_path)
    for seed in (1, 2):
        found = measure_all([Given("picture 1", np.array(noise(seed)))], store)
        assert found.records["sha256"][0].decode() == hashlib.sha256(content(noise(seed))).hexdigest()
    assert store.load().rows == {}

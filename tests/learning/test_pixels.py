from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from generated_pictures import MakePictures

from automl_tl.data.decode import Preprocessing, preprocess
from automl_tl.errors import DataError
from automl_tl.features import scratch
from automl_tl.features.picture import Picture
from automl_tl.features.scratch import scratch_array, seldom_read
from automl_tl.learning.pixels import load_pixels

HOW = Preprocessing(32)


@pytest.fixture
def files(make_pictures: MakePictures) -> list[Path]:
    return sorted(make_pictures(per_class=12).rglob("*.png"))


def as_pictures(files: list[Path]) -> list[Picture]:
    return [Picture(str(file), file.name) for file in files]


@pytest.mark.parametrize("in_memory", [0, 10**9])
def test_pixels_are_the_prepared_pictures_in_their_order(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_memory: int
) -> None:
    monkeypatch.setattr(scratch, "IN_MEMORY", in_memory)
    reported: list[tuple[int, int]] = []
    found = load_pixels(
        as_pictures(files[::-1]), HOW, tmp_path / "scratch", progress=lambda done, total: reported.append((done, total))
    )
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, np.stack([preprocess(file, HOW) for file in files[::-1]]))
    assert reported == [(32, 36), (36, 36)]
    assert isinstance(found, np.memmap) == (in_memory == 0)


def test_a_large_array_leaves_no_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "IN_MEMORY", 100)
    large = scratch_array(tmp_path / "scratch", (200,), np.uint8)
    other = scratch_array(tmp_path / "scratch", (200,), np.uint8)
    large[:] = 7
    assert not other.any()
    assert not list((tmp_path / "scratch").iterdir())


def test_a_small_array_needs_no_folder(tmp_path: Path) -> None:
    assert scratch_array(tmp_path / "scratch", (3, 4), np.float16).sum() == 0
    assert not (tmp_path / "scratch").exists()


@pytest.mark.parametrize("n", [100, 400_000])
def test_what_is_seldom_read_is_the_same_and_takes_memory_only_where_it_is_small(tmp_path: Path, n: int) -> None:
    values = np.arange(n, dtype=np.float32).reshape(-1, 4)
    kept = seldom_read(values, tmp_path / "scratch")
    np.testing.assert_array_equal(kept, values)
    assert kept.dtype == np.float32
    assert isinstance(kept, np.memmap) == (values.nbytes > scratch.SMALL)


def test_a_picture_that_has_gone_is_named(files: list[Path], tmp_path: Path) -> None:
    wanted = as_pictures(files)
    files[20].unlink()
    with pytest.raises(DataError, match=files[20].name):
        load_pixels(wanted, HOW, tmp_path)

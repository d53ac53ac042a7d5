"""Pictures are decoded once for each way of preparing them, whoever asks, and what is kept is bounded."""

from __future__ import annotations

import errno
import hashlib
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from generated_pictures import MakePictures
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_backbone import tiny_network

from automl_tl.data.decode import Preprocessing, preprocess
from automl_tl.errors import DataError
from automl_tl.features import pixels as module
from automl_tl.features.engine import Engine
from automl_tl.features.extract import Pass, extract
from automl_tl.features.picture import Picture
from automl_tl.features.pixels import PixelStore, batches
from automl_tl.features.store import FeatureStore
from automl_tl.learning.pixels import load_pixels

HOW = Preprocessing(32)
CPU = Engine("cpu", "float32")


@pytest.fixture
def pictures(make_pictures: MakePictures) -> list[Picture]:
    paths = sorted(make_pictures().rglob("*.png"))
    return [Picture(str(path), hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, Preprocessing]]:
    """How often each picture was decoded in each way."""
    counts: Counter[tuple[str, Preprocessing]] = Counter()

    def counted(source: object, how: Preprocessing) -> np.ndarray:
        counts[source.name, how.alike] += 1  # type: ignore[attr-defined]
        return preprocess(source, how)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "preprocess", counted)
    return counts


def as_array(found: module.Batches) -> np.ndarray:
    return np.concatenate([images.numpy() for _, images in found])


def expected(pictures: list[Picture], how: Preprocessing = HOW) -> np.ndarray:
    return np.stack([preprocess(picture.readable, how) for picture in pictures])


@pytest.mark.parametrize("size", [1, 4, 18, 100])
def test_batches_are_the_prepared_pictures_in_order(pictures: list[Picture], size: int) -> None:
    found = list(batches(pictures, HOW, size))
    assert [len(batch) for batch, _ in found] == [len(images) for _, images in found]
    assert [picture for batch, _ in found for picture in batch] == pictures
    assert np.array_equal(as_array(iter(found)), expected(pictures))


def test_at_most_three_batches_are_decoded_ahead(pictures: list[Picture], decoded: Counter[object]) -> None:
    found = batches(pictures, HOW, 2)
    next(found)
    assert decoded.total() <= 2 + 3 * 2
    found.close()  # type: ignore[attr-defined]


def test_networks_views_and_training_that_prepare_alike_decode_once(
    pictures: list[Picture], decoded: Counter[object], tmp_path: Path
) -> None:
    store, kept = FeatureStore(tmp_path), PixelStore(tmp_path)
    for network in (tiny_network(), tiny_network(seed=1)):
        for view in ("plain", "hflip", "zoom"):
            alone = extract(Pass(network, HOW, CPU, view), pictures, FeatureStore(tmp_path / "alone"))
            decoded.clear()
            shared = extract(Pass(network, HOW, CPU, view, pixels=kept), pictures, store)
            first = (network.backbone.seed, view) == (0, "plain")  # type: ignore[attr-defined]
            assert decoded.total() == (len(pictures) if first else 0)
            assert np.array_equal(shared.matrix([3], "mean+std"), alone.matrix([3], "mean+std"))
    trained = load_pixels(pictures[::-1], HOW, tmp_path, store=kept)
    assert decoded.total() == 0
    assert np.array_equal(trained[np.arange(len(pictures))], expected(pictures[::-1]))
    assert trained.shape == (len(pictures), 32, 32, 3)


def test_what_makes_no_difference_to_the_pixels_is_shared(pictures: list[Picture], decoded: Counter[object]) -> None:
    squash, other_fill = HOW, replace(HOW, fill=(0, 0, 0), crop_pct=0.5)
    assert squash.alike == other_fill.alike
    assert np.array_equal(expected(pictures[:2], squash), expected(pictures[:2], other_fill))
    for how in (replace(HOW, fit="pad"), replace(HOW, fit="crop"), replace(HOW, interpolation="bicubic")):
        assert how.alike != squash.alike
    assert replace(HOW, fit="pad", fill=(0, 0, 0)).alike != replace(HOW, fit="pad").alike
    assert replace(HOW, fit="crop", crop_pct=0.5).alike != replace(HOW, fit="crop").alike


def test_pictures_of_the_same_bytes_are_kept_once(
    pictures: list[Picture], decoded: Counter[object], tmp_path: Path
) -> None:
    kept = PixelStore(tmp_path).whole([*pictures, *pictures[:3]], HOW)
    assert kept is not None
    assert decoded.total() == len(pictures)
    assert np.array_equal(kept[np.array([0, len(pictures)])], expected([pictures[0], pictures[0]]))


WAYS = [Preprocessing(8), Preprocessing(16), Preprocessing(16, "pad")]


@given(
    st.lists(
        st.tuples(st.sampled_from(WAYS), st.lists(st.integers(0, 17), min_size=1, max_size=9), st.booleans()),
        max_size=6,
    ),
    st.integers(0, 12_000),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_asked_for_is_right_and_within_the_bound(
    pictures: list[Picture], asked: list[tuple[Preprocessing, list[int], bool]], bound: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store, read = PixelStore(Path(folder), bound), []
        for how, rows, whole in asked:
            some = [pictures[row] for row in rows]
            found = store.whole(some, how) if whole else None
            read.append(found)  # what somebody reads takes room, whether it is asked for again or not
            if found is not None:
                assert np.array_equal(found[np.arange(len(some))], expected(some, how))
            else:
                assert np.array_equal(as_array(store.batches(some, how, 4)), expected(some, how))
            shelves = {id(one.shelf): one.shelf for one in read if one is not None}
            assert sum(shelf.pixels.nbytes for shelf in shelves.values()) <= store._n_bytes <= bound


def test_the_preprocessing_that_was_asked_for_longest_ago_goes(
    pictures: list[Picture], decoded: Counter[object], tmp_path: Path
) -> None:
    n = len(pictures)
    store = PixelStore(tmp_path, max_bytes=2 * n * 3 * 8**2)
    a, b, c = Preprocessing(8), Preprocessing(8, "pad"), Preprocessing(8, "crop")
    for how in (a, b, a, c, a):
        for _ in store.batches(pictures, how):
            pass
    assert decoded.total() == 3 * n
    for _ in store.batches(pictures, b):
        pass
    assert decoded.total() == 4 * n


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("fault", ["full", "read-only", "nearly full"])
def test_where_nothing_can_be_kept_pictures_are_decoded_each_time(
    fault: str, pictures: list[Picture], decoded: Counter[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault == "full":
        monkeypatch.setattr(module, "reserve", full)
    elif fault == "read-only":
        monkeypatch.setattr(tempfile, "TemporaryFile", full)
    else:  # half of it is less than a picture
        monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: SimpleNamespace(free=2 * 3 * 32**2 - 1))
    store = PixelStore(tmp_path)
    for _ in range(2):
        assert np.array_equal(as_array(store.batches(pictures, HOW)), expected(pictures))
        assert store.whole(pictures, HOW) is None
    assert decoded.total() == 2 * len(pictures)
    assert np.array_equal(load_pixels(pictures, HOW, tmp_path, store=store)[np.arange(18)], expected(pictures))


def test_threads_may_ask_at_once(pictures: list[Picture], tmp_path: Path) -> None:
    store = PixelStore(tmp_path, max_bytes=12 * 3 * 16**2)

    def ask(number: int) -> bool:
        some, how = pictures[number % 7 :], Preprocessing(16, ("squash", "pad")[number % 2])
        whole = store.whole(some, how) if number % 3 else None
        found = as_array(store.batches(some, how, 4)) if whole is None else whole[np.arange(len(some))]
        return np.array_equal(found, expected(some, how))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(ask, range(24)))


def test_nothing_is_left_on_the_disk(pictures: list[Picture], tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    store = PixelStore(tmp_path / "cache")
    assert store.whole(pictures, HOW) is not None
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_picture_that_vanishes_is_named(pictures: list[Picture], tmp_path: Path) -> None:
    Path(pictures[2].path).unlink()
    with pytest.raises(DataError, match=r"002\.png changed while it was being read"):
        PixelStore(tmp_path).whole(pictures, HOW)

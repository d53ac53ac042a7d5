"""Measurements of single pictures, in threads, and their file on disk."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from automl_tl.data import measurements
from automl_tl.data.duplicates import near_pairs
from automl_tl.data.kept import save_arrays
from automl_tl.data.measure import MEASURED, measure, perceptual_hash
from automl_tl.data.measurements import MeasurementStore, measure_all
from automl_tl.data.source import Source
from automl_tl.errors import CacheError, PictureError

Grow = Callable[..., Path]


@pytest.fixture
def paths(grow: Grow) -> list[str]:
    return sorted(str(path) for path in grow({"cat": 6, "dog": 6}).rglob("*.png"))


@pytest.fixture
def store(tmp_path: Path) -> MeasurementStore:
    return MeasurementStore.of(tmp_path / "photos", tmp_path / "cache")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The pictures that were decoded."""
    names: list[str] = []

    def counted(source: Source) -> np.ndarray:
        names.append(source.name)
        return measure(source)

    monkeypatch.setattr(measurements, "measure", counted)
    return names


# --- one picture ------------------------------------------------------------------------------------


def test_what_is_measured(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    path = tmp_path / "a.jpg"
    Image.new("RGB", (300, 200), (10, 200, 30)).save(path, exif=exif)
    record = measure(path)
    assert record.dtype == MEASURED
    assert (record["width"], record["height"]) == (200, 300)
    assert len(record["sha256"].item()) == 64
    assert np.abs(record["colour"].astype(int) - (10, 200, 30)).max() < 5


def test_the_hash_hardly_changes_with_brightness() -> None:
    grey = np.asarray(Image.effect_noise((32, 32), 40))
    darker = (grey * 0.8).astype(np.uint8)
    assert (perceptual_hash(grey) ^ perceptual_hash(darker)).bit_count() <= 2
    assert perceptual_hash(np.zeros((32, 32), np.uint8)) == 0
    other = np.asarray(Image.effect_noise((32, 32), 40))
    assert (perceptual_hash(grey) ^ perceptual_hash(other)).bit_count() > 10


def test_a_picture_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="No such file"):
        measure(tmp_path / "gone.png")


# --- many -------------------------------------------------------------------------------------------


def test_unreadable_pictures_are_listed_in_order(paths: list[str]) -> None:
    Path(paths[1]).write_bytes(b"")
    Path(paths[7]).write_bytes(b"text")
    found = measure_all(paths, None)
    assert [(skipped.path, skipped.reason) for skipped in found.unreadable] == [
        (paths[1], "empty (0 bytes)"),
        (paths[7], "not a picture"),
    ]
    assert found.readable.tolist() == [i not in (1, 7) for i in range(12)]
    assert len(found.records) == 10


def test_progress_counts_up_to_the_total(paths: list[str]) -> None:
    seen: list[tuple[int, int]] = []
    measure_all(paths, None, lambda done, total: seen.append((done, total)), threads=3)
    assert seen == [(done, 12) for done in range(13)]


def test_no_pictures_at_all() -> None:
    assert len(measure_all([], None).records) == 0


def test_only_a_few_pictures_are_in_memory(paths: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    lock, now, most = threading.Lock(), [0], [0]

    def slow(path: Path) -> np.ndarray:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.01)
        with lock:
            now[0] -= 1
        return np.zeros((), MEASURED)

    monkeypatch.setattr(measurements, "measure", slow)
    measure_all(paths * 3, None, threads=2)
    assert most[0] == 2


def test_an_error_in_the_callback_stops_the_rest(paths: list[str], opened: list[str], store: MeasurementStore) -> None:
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure_all(paths * 20, store, stop, threads=1)
    assert len(opened) < 40
    assert len(store.load()) == 2


# --- the file ---------------------------------------------------------------------------------------


def test_a_second_scan_opens_nothing(paths: list[str], opened: list[str], store: MeasurementStore) -> None:
    first = measure_all(paths, store)
    assert len(opened) == 12
    seen: list[int] = []
    second = measure_all(paths, store, lambda done, _: seen.append(done))
    assert len(opened) == 12
    assert seen == [12]
    assert first.records.tobytes() == second.records.tobytes()


def test_a_changed_file_is_measured_again(paths: list[str], opened: list[str], store: MeasurementStore) -> None:
    measure_all(paths, store)
    Image.new("RGB", (9, 9)).save(paths[0])
    os.utime(paths[3], ns=(1, 1))
    measure_all(paths, store)
    assert sorted(opened[12:]) == [paths[0], paths[3]]


def test_unreadable_pictures_are_tried_again(paths: list[str], opened: list[str], store: MeasurementStore) -> None:
    Path(paths[0]).write_bytes(b"text")
    measure_all(paths, store)
    assert len(measure_all(paths, store).unreadable) == 1
    assert opened[12:] == [paths[0]]


def test_measurements_of_other_pictures_stay(paths: list[str], opened: list[str], store: MeasurementStore) -> None:
    measure_all(paths[:6], store)
    measure_all(paths[6:], store)
    measure_all(paths, store)
    assert len(opened) == 12


def test_the_file_does_not_grow_without_end(
    paths: list[str], store: MeasurementStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measurements, "_SPARE", 0)
    measure_all(paths[:9], store)
    measure_all(paths[9:], store)
    assert len(store.load()) == 3


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 nonsense", bytes(1000)])
def test_a_damaged_file_is_made_anew(
    paths: list[str], opened: list[str], store: MeasurementStore, content: bytes
) -> None:
    measure_all(paths, store)
    (store.folder / store.name).write_bytes(content)
    assert len(store.load()) == 0
    measure_all(paths, store)
    assert len(opened) == 24
    assert len(store.load()) == 12


def test_a_truncated_file_is_made_anew(paths: list[str], store: MeasurementStore) -> None:
    measure_all(paths, store)
    file = store.folder / store.name
    file.write_bytes(file.read_bytes()[:-500])
    assert len(store.load()) == 0


def test_what_cannot_be_read_just_now_is_not_written_over(
    paths: list[str], opened: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of() -> MeasurementStore:
        return MeasurementStore.of(tmp_path / "photos", tmp_path / "cache")

    measure_all(paths, of())

    def refuse(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        store = of()
        assert len(measure_all(paths[:4], store).records) == 4
        assert store.failure == "Too many open files"
    assert len(of().load()) == 12


def test_another_decoder_measures_again(
    paths: list[str], store: MeasurementStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure_all(paths, store)
    monkeypatch.setattr(measurements, "DECODER", "another/1")
    assert len(store.load()) == 0


def test_nothing_temporary_is_left(paths: list[str], store: MeasurementStore) -> None:
    measure_all(paths, store)
    assert [path.name for path in store.folder.iterdir()] == [store.name]


def test_a_full_disk_costs_the_cache_only(
    paths: list[str], store: MeasurementStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert len(measure_all(paths, store).records) == 12
    assert store.failure == "No space left on device"
    assert list(store.folder.iterdir()) == []


# --- near-duplicates --------------------------------------------------------------------------------


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures were compared, each time."""
    counts: list[int] = []

    def counted(measured: np.ndarray) -> tuple[np.ndarray, bool]:
        counts.append(len(measured))
        return near_pairs(measured)

    monkeypatch.setattr(measurements, "near_pairs", counted)
    return counts


def test_the_same_pictures_are_compared_once(paths: list[str], compared: list[int], store: MeasurementStore) -> None:
    for name in paths[:2]:
        with Image.open(name) as image:
            image.resize((60, 60)).save(name.replace(".png", "_copy.png"))
    records = measure_all([*paths, *(name.replace(".png", "_copy.png") for name in paths[:2])], store).records
    first, again = store.near_pairs(records), store.near_pairs(records)
    assert sorted(first[0].tolist()) == [[0, 12], [1, 13]]
    assert first[0].tolist() == again[0].tolist()
    assert first[1] is again[1] is True
    assert compared == [14]


def test_other_pictures_are_compared_again(paths: list[str], compared: list[int], store: MeasurementStore) -> None:
    records = measure_all(paths, store).records
    store.near_pairs(records)
    changed = records.copy()
    changed["grey"][0] += 1
    for others in (records[:-1], changed):
        assert store.near_pairs(others)[0].tolist() == near_pairs(others)[0].tolist()
    assert compared == [12, 11, 12]


def test_another_comparison_and_a_damaged_file_compare_again(
    paths: list[str], compared: list[int], store: MeasurementStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = measure_all(paths, store).records
    store.near_pairs(records)
    (file,) = store.folder.glob("*.pairs.npz")
    file.write_bytes(file.read_bytes()[:100])
    store.near_pairs(records)
    monkeypatch.setattr(measurements, "COMPARISON", "another")
    store.near_pairs(records)
    assert len(compared) == 3


@pytest.mark.parametrize("pairs", [np.array([[0, 99]]), np.array([[-1, 0]]), np.array([0, 1]), np.array([[0.5, 1]])])
def test_pairs_that_cannot_be_are_compared_again(
    paths: list[str], compared: list[int], store: MeasurementStore, pairs: np.ndarray
) -> None:
    records = measure_all(paths, store).records
    store.near_pairs(records)
    (file,) = store.folder.glob("*.pairs.npz")
    with np.load(file) as content:
        version = str(content["version"])
    save_arrays(file, version, pairs=pairs, complete=np.array(True))
    assert store.near_pairs(records)[0].tolist() == []
    assert len(compared) == 2


def test_a_full_disk_costs_the_memory_of_it_alone(
    paths: list[str], store: MeasurementStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    records = measure_all(paths, store).records
    monkeypatch.setattr(Path, "replace", full)
    assert store.near_pairs(records)[1]
    assert store.failure == "No space left on device"
    assert [file.name for file in store.folder.iterdir()] == [store.name]


def test_data_sets_do_not_share_a_file(tmp_path: Path) -> None:
    assert MeasurementStore.of(tmp_path / "a", tmp_path).name != MeasurementStore.of(tmp_path / "b", tmp_path).name


def test_a_cache_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(CacheError, match="choose another with --cache-dir"):
        MeasurementStore.of(tmp_path, tmp_path / "file")

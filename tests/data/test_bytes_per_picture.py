"""What a picture takes in memory while a data set is listed and scanned: docs/large.md states it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from automl_tl.data import measurements, split
from automl_tl.data.dataset import open_dataset
from automl_tl.data.measure import MEASURED
from automl_tl.data.measurements import MeasurementStore, measure_all

N = 2000


def bytes_per_picture(work: Callable[[], object]) -> float:
    """Return the growth of the peak, Python's objects and NumPy's arrays, for each of N pictures."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / N
    finally:
        tracemalloc.stop()


def test_a_listed_picture(tmp_path: Path) -> None:
    for number in range(N):
        folder = tmp_path / f"class{number % 4}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number:06d}.png").touch()
    open_dataset(tmp_path)  # what is imported is not counted
    assert bytes_per_picture(lambda: open_dataset(tmp_path)) < 600


def test_a_picture_that_is_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(N):
        folder = tmp_path / f"class{number % 4}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number:06d}.png").touch()
    listed = open_dataset(tmp_path)
    scanned = listed.frame.assign(
        sha256=[f"{number:064x}" for number in range(N)], width=8, height=8, cluster=np.arange(N)
    )
    dataset = listed.with_frame(scanned)
    monkeypatch.setattr(split, "LARGE", N - 1)
    assert set(split.assign_splits(dataset, 0).frame["split"]) == {"train", "test"}  # what is imported is not counted
    assert bytes_per_picture(lambda: split.assign_splits(dataset, 0)) < 600


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurements, "measure", lambda source: np.zeros((), MEASURED))


@pytest.mark.usefixtures("unread")
def test_a_measured_picture(tmp_path: Path) -> None:
    store = MeasurementStore.of(tmp_path / "photos", tmp_path / "cache")
    paths = [str(tmp_path / f"{number}.png") for number in range(N)]
    measure_all(paths, store)
    assert bytes_per_picture(lambda: measure_all(paths, None)) < 1.3 * MEASURED.itemsize
    known = bytes_per_picture(lambda: measure_all(paths, store))  # what is read from the disk, and what is handed on
    assert known < 2.4 * MEASURED.itemsize

"""The seam for work: what is submitted can travel, and comes to the same wherever it runs."""

from __future__ import annotations

import gc
import pickle
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from generated_pictures import MakePictures
from tiny_models import register

import automl_tl
from automl_tl.data.decode import Preprocessing
from automl_tl.errors import DataError
from automl_tl.features.picture import Picture, pictures_of
from automl_tl.lab.lab import compute_shard_by_name, open_lab
from automl_tl.lab.networks import Networks
from automl_tl.options import LabOptions
from automl_tl.work import ThisProcess


class Travelling(ThisProcess):
    """Sends everything through pickle: the work, what it is given, reports and returns."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def submit(self, work: Callable[..., Any], /, *args: Any, report: Any = None, **options: Any) -> Future[Any]:
        sent = pickle.loads(pickle.dumps((work, args, options)))

        def reported(*values: Any) -> None:
            report(*pickle.loads(pickle.dumps(values)))

        future = super().submit(sent[0], *sent[1], report=reported if report else None, **sent[2])
        self.done.append(work.__name__)
        if future.exception() is None:
            arrived: Future[Any] = Future()
            arrived.set_result(pickle.loads(pickle.dumps(future.result())))
            return arrived
        return future


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch, make_pictures: MakePictures) -> Path:
    register(monkeypatch)
    monkeypatch.setenv("AUTOML_TL_PREFLIGHT_SECONDS", "0")
    return make_pictures(per_class=8)


def board(result: automl_tl.SearchResult) -> pd.DataFrame:
    return result.table.drop(columns="seconds")


def test_a_search_whose_work_travels_is_the_same_search(data: Path, tmp_path: Path) -> None:
    executor = Travelling()

    def search(name: str, **more: Any) -> automl_tl.SearchResult:
        places = {"out": tmp_path / name, "cache_dir": tmp_path / f"{name} cache"}
        return automl_tl.search(data, trials=6, backbones=["tiny"], **places, **more)

    here, there = search("here"), search("there", executor=executor)
    pd.testing.assert_frame_equal(board(here), board(there))
    assert here.test == there.test
    assert {"compute_shard_by_name", "score_frozen", "score_fold", "solve_frozen", "learn"} <= set(executor.done)


class WhenAwaited(Future[Any]):
    """Does its work in the thread that waits for it, as results from elsewhere are waited for."""

    def __init__(self, work: Callable[[], Any]) -> None:
        super().__init__()
        self.work = work

    def result(self, timeout: float | None = None) -> Any:
        return self.work()


class Several(ThisProcess):
    """Three workers; notes how many pieces of work were under way when one was submitted, itself included."""

    n_workers = 3

    def __init__(self) -> None:
        self.under_way, self.most, self.cancelled = 0, list[int](), 0

    def submit(self, work: Callable[..., Any], /, *args: Any, report: Any = None, **options: Any) -> Future[Any]:
        self.under_way += 1
        self.most.append(self.under_way)

        def do() -> Any:
            self.under_way -= 1
            return work(*args, report=report, **options)

        return WhenAwaited(do)

    def cancel(self) -> None:
        self.cancelled += 1


def test_shards_are_computed_as_many_at_once_as_there_are_workers(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("automl_tl.features.extract.SHARD_SIZE", 4)
    executor, told = Several(), list[tuple[int, int]]()
    found = []
    for where, folder in ((executor, "there"), (ThisProcess(), "here")):
        options = LabOptions(backbones=("tiny",), cache_dir=data.parent / folder, executor=where)
        lab = open_lab(data, options)
        pictures = pictures_of(lab.dataset.frame)
        found.append(lab.features("tiny", pictures, progress=lambda *done: told.append(done)).matrix((1, 2)))
    assert executor.most == [1, 2, 3, 3, 3, 3]  # 24 pictures
    assert executor.under_way == 0
    assert told[:6] == [(4 * n, 24) for n in range(1, 7)]
    np.testing.assert_array_equal(*found)


def test_where_one_shard_fails_the_others_are_ended(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("automl_tl.features.extract.SHARD_SIZE", 4)
    executor = Several()
    lab = open_lab(data, LabOptions(backbones=("tiny",), executor=executor))
    pictures = pictures_of(lab.dataset.frame)
    Path(pictures[9].path).unlink()
    with pytest.raises(DataError, match="changed while it was being read"):
        lab.features("tiny", pictures)
    assert executor.cancelled == 1
    assert executor.under_way > 0


class Weights:
    """Stands for what a piece of work holds while it runs."""


def test_what_failed_work_held_is_free_at_once() -> None:
    """A cycle of future, error and frame would keep a network and its activations until the next collection."""
    known: list[weakref.ref[Weights]] = []

    def failing() -> None:
        weights = Weights()
        known.append(weakref.ref(weights))
        raise OSError("full")

    gc.disable()
    try:
        with pytest.raises(OSError, match="full"):
            ThisProcess().submit(failing).result()
        assert known[0]() is None
    finally:
        gc.enable()


def test_an_error_is_the_future_s_and_an_interruption_the_driver_s() -> None:
    def raising(error: BaseException) -> None:
        raise error

    assert isinstance(ThisProcess().submit(raising, OSError("full")).exception(), OSError)
    with pytest.raises(KeyboardInterrupt):
        ThisProcess().submit(raising, KeyboardInterrupt())


def collected(networks: Networks, name: str, pictures: list[Picture], how: Preprocessing) -> dict[str, np.ndarray]:
    """Return the statistics of one batch of pictures."""
    parts: dict[str, np.ndarray] = {}
    compute_shard_by_name(networks, name, pictures, how, view="hflip", report=lambda keys, arrays: parts.update(arrays))
    return parts


def test_features_come_to_the_same_in_another_process(make_pictures: MakePictures) -> None:
    """A real process, begun anew, which builds a bundled backbone by its name."""
    name = "efficientnet_lite0"
    lab = open_lab(make_pictures(per_class=2), LabOptions(backbones=(name,), device="cpu"))
    pictures = [Picture(*pair) for pair in lab.dataset.frame[["path", "sha256"]].itertuples(index=False)]
    work = (lab.networks, name, pictures, lab.networks.preprocessing(name, lab.report.fit))
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        there = pool.submit(collected, *work).result()
    here = collected(*work)
    assert here.keys() == there.keys()
    assert len(here) > 18
    for key, values in here.items():
        np.testing.assert_allclose(there[key], values, rtol=1e-2, atol=1e-3)

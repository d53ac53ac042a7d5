"""Training that Ray Train shares among processes: killed ones, a killed driver, and the answer of one process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from generated_pictures import MakePictures
from ray_work import skip_without_ray
from safetensors import SafetensorError, safe_open

import automl_tl
from automl_tl.errors import AutomlTlError
from automl_tl.monitor import Epoch

if TYPE_CHECKING:
    from automl_tl.cluster import RayExecutor

pytestmark = pytest.mark.slow
TESTS = Path(__file__).parent


@pytest.fixture(scope="module")
def executor() -> Iterator[RayExecutor]:
    """Return two of Ray's workers, whose processes find the modules of tests."""
    skip_without_ray()
    from automl_tl.cluster import RayExecutor

    with pytest.MonkeyPatch.context() as patch:
        paths = [str(TESTS), str(TESTS / "learning")]
        patch.setenv("PYTHONPATH", os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")]))
        patch.delenv("OMP_NUM_THREADS", raising=False)  # what a user says of threads stays
        patch.syspath_prepend(str(TESTS / "learning"))
        yield RayExecutor("local", 2, "cpu")
        sys.modules["ray"].shutdown()


def test_processes_are_a_group_in_the_driver_s_folder(executor: RayExecutor, tmp_path: Path) -> None:
    from shared_refit import where

    rank, size, folder, threads, interface = executor.together(where, processes=2, folder=tmp_path).result()
    assert (rank, size, folder) == (0, 2, os.getcwd())
    assert threads == max(1, int(executor.cores))
    assert interface == {"linux": "lo", "darwin": "lo0"}.get(sys.platform, "any")


@pytest.mark.parametrize("dies_after", [0, 2])
def test_what_processes_share_is_what_one_learns_though_one_is_killed(
    executor: RayExecutor, tmp_path: Path, dies_after: int
) -> None:
    from shared_refit import EPOCHS, learned

    (alone := tmp_path / "alone").mkdir()
    (shared := tmp_path / "shared").mkdir()
    expected, heard = learned(alone), list[Epoch]()
    work = executor.together(learned, shared, dies_after, processes=2, folder=tmp_path, report=heard.append)
    np.testing.assert_allclose(work.result(), expected, rtol=1e-3, atol=1e-4)
    assert [epoch.number for epoch in heard] == list(range(1, EPOCHS + 1))
    assert (shared / "died").exists() is bool(dies_after)
    begun = [int(line) for line in (shared / "begun").read_text().split()]
    assert begun == ([0, dies_after] if dies_after else [0])


def test_what_begins_again_has_the_time_that_is_left_whatever_clocks_say(executor: RayExecutor, tmp_path: Path) -> None:
    from shared_refit import timed

    (marks := tmp_path / "marks").mkdir()
    executor.together(timed, marks, left=executor.countdown(1000.0), processes=2, folder=tmp_path).result()
    first, second = map(float, (marks / "left").read_text().split())
    assert 500 < second < first - 2 < 998


def test_an_error_of_one_process_ends_all_and_is_not_tried_again(executor: RayExecutor, tmp_path: Path) -> None:
    from shared_refit import failing

    (marks := tmp_path / "marks").mkdir()
    with pytest.raises(FileNotFoundError, match="no such picture"):
        executor.together(failing, marks, processes=2, folder=tmp_path).result()
    assert len(list(marks.iterdir())) == 1


def test_who_finds_no_group_any_more_has_lost_another(executor: RayExecutor, tmp_path: Path) -> None:
    from shared_refit import late

    (marks := tmp_path / "marks").mkdir()
    assert executor.together(late, marks, processes=2, folder=tmp_path).result() == 2
    assert (marks / "died").exists()


def test_what_dies_again_and_again_is_given_up(executor: RayExecutor, tmp_path: Path) -> None:
    from shared_refit import dying

    from automl_tl.cluster_group import RESTARTS

    (marks := tmp_path / "marks").mkdir()
    with pytest.raises(AutomlTlError, match="that trained together died and could not be replaced") as given_up:
        executor.together(dying, marks, processes=2, folder=tmp_path).result()
    attempts = max(len(list(marks.glob(f"{rank}-*"))) for rank in (0, 1))
    told = f"{attempts} attempts: {given_up.value}"
    by_itself = "ControllerError" in str(given_up.value)  # as Ray Train gives up where a port is taken
    if by_itself:
        assert 1 <= attempts <= RESTARTS + 1, told
    else:
        assert attempts == RESTARTS + 1, told


@pytest.fixture
def place(make_pictures: MakePictures, tmp_path: Path) -> Path:
    """Return a folder with pictures."""
    skip_without_ray()
    make_pictures(tmp_path / "pictures", per_class=12)
    return tmp_path


ALWAYS = "from automl_tl.searcher.delivery import place; place.LONG = 0.0; from automl_tl.cli import main; main()"
"""The command line, for which every refit is a long one."""


def search(place: Path, run: str, *more: str) -> subprocess.Popen[str]:
    """Begin a search of one fine-tuning."""
    words = ["search", str(place / "pictures"), "--backbone", "efficientnet_lite0", "--out", str(place / run)]
    words += ["--strategy", "fine_tuning", "--trials", "1", "--input-size", "64", "--cache-dir", str(place / "cache")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with open(place / f"{run}.log", "a") as log:
        return subprocess.Popen(
            [sys.executable, "-c", ALWAYS, *words, *more], stdout=log, stderr=log, text=True, env=environment
        )


def steps_done(run: Path) -> int | None:
    """Return how many steps of the refit are kept in a run folder; None where it keeps none, or no longer."""
    try:
        (file,) = run.glob("refits/*.safetensors")
        with safe_open(file, "pt") as opened:
            return int(json.loads(opened.metadata()["facts"])["done"])
    except (OSError, RuntimeError, ValueError, SafetensorError):  # it goes when the model is delivered
        return None


def followed(process: subprocess.Popen[str], run: Path) -> list[int]:
    """Return what a search keeps of its refit, in order, until it ends."""
    seen = [steps_done(run)]
    while process.poll() is None:
        if (done := steps_done(run)) != seen[-1]:
            seen.append(done)
        time.sleep(0.01)
    return [done for done in seen if done is not None]


def test_a_killed_driver_goes_on_from_where_its_refit_was(place: Path) -> None:
    ray, run = ("--ray", "local", "--workers", "2"), place / "run"
    driver, first, kept = search(place, "run", *ray), None, None
    while first is None or kept is None or kept == first:  # from the second epoch on a new beginning would be seen
        assert driver.poll() is None, (place / "run.log").read_text()
        kept = steps_done(run)
        first = first or kept
        time.sleep(0.01)
    driver.kill()
    driver.wait()
    shutil.copytree(run, place / "alone")
    for name, more in (("run", ray), ("alone", ())):
        again = search(place, name, *more, "--resume")
        seen = followed(again, place / name)
        assert again.wait() == 0, (place / f"{name}.log").read_text()
        assert kept <= seen[0] < seen[-1]
        assert seen == sorted(seen)
        assert not (place / name / "refits").exists()
    assert "The refit is shared by 2 processes." in (place / "run.log").read_text()
    files = sorted((place / "pictures").rglob("*.png"))
    found = [automl_tl.load(place / name / "bundle").probabilities(files) for name in ("run", "alone")]
    np.testing.assert_allclose(*found, rtol=0, atol=0.1)  # what the backbone drops at random is not the same
    np.testing.assert_array_equal(*(one.argmax(1) for one in found))

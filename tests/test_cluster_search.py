"""Searches on Ray, as a user starts them: killed workers, a killed driver, and the answer of one process."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest
from generated_pictures import MakePictures
from processes import below
from ray_work import skip_without_ray
from tiny_backbone import TinyBackbone
from tiny_models import register

import automl_tl

pytestmark = pytest.mark.slow
TRIALS, WORKERS = 60, 4


@pytest.fixture
def place(make_pictures: MakePictures, tmp_path: Path) -> Path:
    """Return a folder with pictures."""
    skip_without_ray()
    if sys.platform != "linux":
        pytest.skip("processes are found in /proc")
    make_pictures(tmp_path / "pictures", per_class=12)
    return tmp_path


def command(place: Path, run: str, *more: str, trials: int = TRIALS) -> subprocess.Popen[str]:
    """Begin a search of frozen ConvNets."""
    words = ["search", str(place / "pictures"), "--backbone", "efficientnet_lite0", "--out", str(place / run)]
    words += ["--strategy", "feature_extractor", "--strategy", "early_feature_extractor", "--trials", str(trials)]
    words += ["--cache-dir", str(place / "cache"), *more]
    return begin(place, run, words)


def begin(place: Path, run: str, words: list[str], **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "automl_tl", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    with open(place / f"{run}.log", "a") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, text=True, env=environment)


def done(run: Path) -> int:
    return len(list((run / "trials").glob("*.safetensors")))


def wait_for(run: Path, n: int, driver: subprocess.Popen[str]) -> None:
    """Return when so many trials are done."""
    while done(run) < n:
        assert driver.poll() is None, "the search ended too early"
        time.sleep(0.02)


def kill_a_worker(driver: subprocess.Popen[str], chance: random.Random) -> None:
    """Kill one of the processes that do trials; there is one as soon as a trial is done."""
    while True:
        workers = [process for process, title in below(driver.pid) if title.startswith("ray::_work")]
        with suppress(ProcessLookupError):  # one that was killed before, and is just being forgotten
            if workers:
                os.kill(chance.choice(workers), signal.SIGKILL)
                return
        assert driver.poll() is None, "the search ended before a worker could be killed"


def test_killed_workers_and_a_killed_driver_lose_nothing(place: Path) -> None:
    chance, run = random.Random(), place / "run"
    *at, last = sorted(chance.sample(range(4, 40), 3))
    (place / "run.log").write_text(f"workers are killed after {at} trials, the driver after {last}\n")
    driver = command(place, "run", "--ray", "local", "--workers", str(WORKERS))
    for n in at:
        wait_for(run, n, driver)
        kill_a_worker(driver, chance)
    wait_for(run, last, driver)
    driver.kill()
    driver.wait()
    kept = {file.name: file.read_bytes() for file in (run / "trials").iterdir() if file.suffix == ".safetensors"}
    driver = command(place, "run", "--ray", "local", "--workers", str(WORKERS), "--resume")
    assert driver.wait(timeout=900) == 0, (place / "run.log").read_text()
    table = pd.read_csv(run / "leaderboard.csv")
    trials = table[(table.kind == "trial") & (table.state == "complete")]
    assert {name: (run / "trials" / name).read_bytes() for name in kept} == kept
    assert {int(name.partition(".")[0]) for name in kept} <= set(trials.number)
    lost = table[(table.kind == "trial") & (table.state == "failed") & table.reason.isna()]
    assert len(lost) <= WORKERS  # what was under way when the driver was killed, which is tried again and counts once
    given_up = table.reason.astype(str).str.contains("two processes that did it died").sum()
    assert given_up <= 1  # where the second worker that was killed was doing what the first one had begun
    assert len(trials) == TRIALS - given_up
    assert table.number.is_unique
    assert not set(table.state) & {"running", "waiting"}
    parameters = trials.filter(like="param.")
    assert not parameters.duplicated().any()
    assert len(automl_tl.load(run / "bundle").predict(place / "pictures")) == 36


@pytest.mark.parametrize("times", [1, 2])
def test_a_killed_training_is_done_once_more_and_counts_once(
    place: Path, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, TinyBackbone(widths=(6, 8, 10)))
    tests, chance, run = Path(__file__).parent, random.Random(), place / "run"
    path = os.pathsep.join(map(str, (tests.parent, tests, tests / "fixtures" / "plugin")))
    words = ["search", str(place / "pictures"), "--backbone", "tiny", "--strategy", "fine_tuning", "--out", str(run)]
    words += ["--trials", "3", "--ray", "local", "--workers", "1"]
    driver = begin(place, "run", words, PYTHONPATH=path)
    wait_until_said(place / "run.log", "Trial 1: fine_tuning", driver)
    kill_a_worker(driver, chance)
    while times > 1 and "Trial 2:" not in (place / "run.log").read_text():
        kill_a_worker(driver, chance)  # whoever does it again
    assert driver.wait(timeout=600) == 0, (place / "run.log").read_text()
    table = pd.read_csv(run / "leaderboard.csv")
    trials = table[table.kind == "trial"]
    died = trials.reason.astype(str).str.contains("two processes that did it died")
    assert (len(trials), died.sum()) == (3, times - 1)
    assert set(trials.state[~died]) <= {"complete", "pruned"}
    assert "complete" in set(trials.state)
    assert table.number.is_unique
    assert len(automl_tl.load(run / "bundle").predict(place / "pictures")) == 36


def wait_until_said(log: Path, words: str, driver: subprocess.Popen[str]) -> None:
    while words not in log.read_text():
        assert driver.poll() is None, log.read_text()
        time.sleep(0.02)


def test_one_worker_finds_what_this_process_finds(place: Path) -> None:
    for name, more in (("alone", ()), ("ray", ("--ray", "local", "--workers", "1"))):
        assert command(place, name, *more, trials=12).wait(timeout=900) == 0, (place / f"{name}.log").read_text()
    tables = [pd.read_csv(place / name / "leaderboard.csv").drop(columns="seconds") for name in ("alone", "ray")]
    pd.testing.assert_frame_equal(*tables, rtol=1e-4, atol=1e-4)
    assert (tables[0].kind == "trial").sum() == 12


@pytest.mark.skipif(signal.getsignal(signal.SIGINT) is signal.SIG_IGN, reason="SIGINT is ignored here")
def test_an_interruption_leaves_a_model_and_no_process(place: Path) -> None:
    driver = command(place, "run", "--ray", "local", "--workers", "2", trials=500)
    wait_for(place / "run", 4, driver)
    started = [process for process, _ in below(driver.pid)]
    driver.send_signal(signal.SIGINT)
    driver.wait(timeout=300)
    assert (place / "run" / "leaderboard.csv").exists()
    assert len(automl_tl.load(place / "run" / "bundle").predict(place / "pictures")) == 36
    until = time.monotonic() + 60
    while any(Path(f"/proc/{process}").exists() for process in started):
        assert time.monotonic() < until
        time.sleep(0.1)

"""A real search of a small backbone, ended by a signal at random moments: a valid model and the line, each time."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from generated_pictures import MakePictures
from ray_work import skip_without_ray
from tiny_backbone import TinyBackbone
from tiny_models import register

import automl_tl

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="needs the signals of POSIX")]
TESTS = Path(__file__).parents[1]
STAGES = {
    "Screening feature sources": 0.05,
    "Features of flipped pictures": 0.05,
    "Solving the best sources": 0.4,
    "Best so far": 0.05,
    "Trial 1:": 1.0,
    "Trial 2:": 1.0,
    "Trial 4:": 1.0,
    "Trial 8:": 0.2,
    "Refitting on every training picture": 0.2,
    "Testing once on pictures that nothing has seen": 0.03,
}
"""What a search that has a model says when it begins something, and seconds that this takes at least."""
EARLY = {"": 1.0, "Reading pictures": 0.05, "Loading backbones": 0.05}
"""The same of one that cannot have a model yet."""
LATEST_SECONDS = 4.0


def start(data: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    """Begin a search, with the tiny backbone as an installed plugin; in its own group."""
    words = [sys.executable, "-m", "automl_tl", "search", str(data), "--out", str(out)]
    path = os.pathsep.join(map(str, (TESTS.parent, TESTS, TESTS / "fixtures" / "plugin")))
    return subprocess.Popen(
        [*words, "--backbone", "tiny", "--device", "cpu", *more], env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def wait_for(file: Path, process: subprocess.Popen[str]) -> None:
    for _ in range(3000):
        if file.exists() or process.poll() is not None:
            break
        time.sleep(0.1)
    assert process.poll() is None, process.communicate()
    assert file.exists()


def check_ended(process: subprocess.Popen[str], code: int, data: Path, out: Path) -> None:
    """Wait for the end of a search: there must be a model that predicts, and the line to go on with."""
    said = " ".join(process.communicate(timeout=120))
    if not (out / "result.json").exists():  # else the signal came when all was done
        assert process.returncode == code, said
        assert f"--out{out}--resume" in "".join(said.split()), said  # lines are wrapped
    assert "Traceback" not in said
    assert automl_tl.load(out / "bundle").predict(sorted(data.rglob("*.png"))[:3])
    assert (out / "leaderboard.csv").exists() or not (out / "trials").exists()


@pytest.mark.parametrize("stage", STAGES)
def test_at_any_moment_there_is_a_valid_model_and_the_line(
    stage: str, make_pictures: MakePictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, TinyBackbone(widths=(6, 8, 10)))
    data, out = pictures_to_test_on(make_pictures, tmp_path), tmp_path / "run"
    process = start(data, out, "--trials", "8")
    terminate_in(process, stage, STAGES[stage])
    check_ended(process, 143, data, out)


@pytest.mark.parametrize("stage", EARLY)
def test_before_there_can_be_a_model_what_is_said_goes_on(
    stage: str, make_pictures: MakePictures, tmp_path: Path
) -> None:
    data, out = pictures_to_test_on(make_pictures, tmp_path), tmp_path / "run"
    process = start(data, out, "--trials", "8")
    terminate_in(process, stage, EARLY[stage])
    said = " ".join(process.communicate(timeout=120))
    assert process.returncode in ((143,) if stage else (143, -signal.SIGTERM)), said  # Python itself takes a moment
    assert "Traceback" not in said
    begun = "--resume" in said  # else it says to run the same command
    said, _ = start(data, out, "--trials", "1", *(["--resume"] if begun else [])).communicate(timeout=300)
    assert (out / "result.json").exists(), said


def pictures_to_test_on(make_pictures: MakePictures, folder: Path) -> Path:
    make_pictures(folder / "pictures" / "train", per_class=12)
    make_pictures(folder / "pictures" / "test", per_class=4, seed=1)
    return folder / "pictures"


def terminate_in(process: subprocess.Popen[str], stage: str, seconds: float) -> None:
    """Send SIGTERM at a random moment of the first seconds after a search has said something."""
    assert process.stderr is not None
    while stage and stage not in (line := process.stderr.readline()):
        assert line, "the search never said so"
    time.sleep(random.uniform(0, seconds))
    process.send_signal(signal.SIGTERM)


RAY = ("--ray", "local", "--workers", "2")


@pytest.mark.parametrize(("name", "code", "more"), [("SIGHUP", 129, ()), ("SIGHUP", 129, RAY), ("SIGTERM", 143, RAY)])
def test_what_tells_every_process_of_a_group_leaves_a_model_the_line_and_no_process(
    name: str, code: int, more: tuple[str, ...], make_pictures: MakePictures, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """As a closed terminal, timeout(1) or a scheduler does: what Ray has started is told as well."""
    if signal.getsignal(getattr(signal, name)) is signal.SIG_IGN:
        pytest.skip(f"{name} is ignored here")
    if more:
        skip_without_ray()
    if sys.platform != "linux":
        pytest.skip("processes are found in /proc")
    register(monkeypatch, TinyBackbone(widths=(6, 8, 10)))
    data, out = make_pictures(per_class=12), tmp_path / "run"
    process = start(data, out, "--trials", "5000", *more)
    wait_for(out / "trials", process)
    time.sleep(random.uniform(0, LATEST_SECONDS))
    os.killpg(process.pid, getattr(signal, name))
    check_ended(process, code, data, out)
    assert (out / "leaderboard.csv").exists()
    wait_for_nobody(process.pid)


def wait_for_nobody(session: int) -> None:
    """Return when no process of a session is left; Ray's workers have groups of their own."""
    for _ in range(1200):
        if not any(is_of(session, int(folder.name)) for folder in Path("/proc").glob("[0-9]*")):
            return
        time.sleep(0.1)
    pytest.fail("there are processes left")


def is_of(session: int, process: int) -> bool:
    try:
        return os.getsid(process) == session
    except ProcessLookupError:
        return False

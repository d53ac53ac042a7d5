"""A real search of a small backbone, ended by SIGTERM at random moments: a valid model and the line, each time."""

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
from tiny_backbone import TinyBackbone
from tiny_models import register

import automl_tl

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="needs the signals of POSIX")]
TESTS = Path(__file__).parents[1]
N_MOMENTS, LATEST_SECONDS = 10, 8.0


def start(data: Path, out: Path) -> subprocess.Popen[str]:
    """Begin a search that does not end by itself, with the tiny backbone as an installed plugin."""
    words = [sys.executable, "-m", "automl_tl", "search", str(data), "--out", str(out), "--trials", "5000"]
    path = os.pathsep.join(map(str, (TESTS.parent, TESTS, TESTS / "fixtures" / "plugin")))
    return subprocess.Popen(
        [*words, "--backbone", "tiny", "--device", "cpu"], env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for(file: Path, process: subprocess.Popen[str]) -> None:
    for _ in range(1200):
        if file.exists() or process.poll() is not None:
            break
        time.sleep(0.1)
    assert process.poll() is None, process.communicate()
    assert file.exists()


def test_at_any_moment_there_is_a_valid_model_and_the_line(
    make_pictures: MakePictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, draw = make_pictures(per_class=12), random.Random(0)
    register(monkeypatch, TinyBackbone(widths=(6, 8, 10)))
    for moment in range(N_MOMENTS):
        out = tmp_path / f"run-{moment}"
        process = start(data, out)
        wait_for(out / "bundle" / "bundle.json", process)
        time.sleep(draw.uniform(0, LATEST_SECONDS))
        process.send_signal(signal.SIGTERM)
        said = " ".join(process.communicate(timeout=120))
        assert process.returncode == 143, said
        assert f"--out{out}--resume" in "".join(said.split()), said  # lines are wrapped
        assert "Traceback" not in said
        assert automl_tl.load(out / "bundle").predict(sorted(data.rglob("*.png"))[:3])
        assert (out / "leaderboard.csv").exists() or not (out / "study.journal").exists()

"""Commands on Ray, as a user starts them: they end with their budget."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest
from generated_pictures import MakePictures, add_odd_pictures
from tiny_models import register

import automl_tl

pytestmark = pytest.mark.slow
TESTS = Path(__file__).parent
RAY = ("--ray", "local", "--workers", "2")
N_PICTURES = 78
BUDGET, LATER = 40.0, 15.0
"""Seconds of a search, and those after it in which the processes of Ray have ended too."""


@pytest.fixture
def place(make_pictures: MakePictures, tmp_path: Path) -> Path:
    """Return a folder with pictures, some of which look like another class, and a plugin that hangs."""
    if find_spec("ray") is None:
        pytest.skip("--ray needs the extra automl-tl[ray]")
    add_odd_pictures(make_pictures(tmp_path / "pictures", per_class=20), per_class=6)
    (plugin := tmp_path / "plugin" / "hanging_plugin-1.0.dist-info").mkdir(parents=True)
    (plugin / "METADATA").write_text("Metadata-Version: 2.1\nName: hanging-plugin\nVersion: 1.0\n")
    (plugin / "entry_points.txt").write_text("[automl_tl.backbones]\nhanging = hanging_backbone:hanging\n")
    return tmp_path


def run(place: Path, name: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command on the pictures, with a cache of its own and the small backbones as installed plugins."""
    path = [TESTS.parent, TESTS, TESTS / "fixtures" / "plugin", place / "plugin"]
    environment = {
        **os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), "OMP_NUM_THREADS": "1", "RUN": str(place / name),
        "AUTOML_TL_CACHE_DIR": str(place / f"{name}-cache"),
    }  # fmt: skip
    command = [sys.executable, "-m", "automl_tl", words[0], str(place / "pictures"), *words[1:], "--device", "cpu"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert ("Ray: 2 workers" in done.stderr) is ("--ray" in words)
    return done


def test_a_search_ends_with_its_budget_though_a_worker_hangs(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began, out = time.monotonic(), place / "run"
    done = run(place, "run", "search", "--backbone", "hanging", "--out", str(out), "--budget", f"{BUDGET:.0f}s", *RAY)
    assert time.monotonic() - began < BUDGET + LATER, done.stderr
    assert "there was no time left to end it" in set(pd.read_csv(out / "leaderboard.csv").reason)
    hung = (place / "hung").stat().st_mtime
    assert any(file.stat().st_mtime > hung for file in out.glob("trials/*.safetensors")), "the other worker waited"
    register(monkeypatch, name="hanging", distribution="hanging-plugin")  # the same, but it never hangs
    assert len(automl_tl.load(out / "bundle").predict(place / "pictures")) == N_PICTURES

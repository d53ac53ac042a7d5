"""Commands on Ray, as a user starts them: they end with their budget, and say what they say without Ray."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from generated_pictures import MakePictures, add_odd_pictures
from ray_work import skip_without_ray
from tiny_backbone import TinyBackbone
from tiny_models import register

import automl_tl

pytestmark = pytest.mark.slow
TESTS = Path(__file__).parent
RAY = ("--ray", "local", "--workers", "2")
N_PICTURES = 78
BUDGET, LATER = 180.0, 120.0
"""Seconds of a search, and those after it in which the processes of Ray have ended too."""


@pytest.fixture
def place(make_pictures: MakePictures, tmp_path: Path) -> Path:
    """Return a folder with pictures, some of which look like another class, and a plugin that hangs."""
    skip_without_ray()
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
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)
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


@pytest.mark.parametrize("command", ["recommend", "labels"])
def test_a_command_says_what_it_says_in_one_process(place: Path, command: str) -> None:
    words = (command, "--backbone", "tiny", "--format", "json")
    assert answer(run(place, "ray", *words, *RAY)) == answer(run(place, "alone", *words), about)


def test_train_finds_what_it_finds_in_one_process(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, TinyBackbone(widths=(6, 8, 10)))

    def trained(name: str, *more: str) -> subprocess.CompletedProcess[str]:
        words = ("--backbone", "tiny", "--strategy", "fine_tuning", "--format", "json", "--out", str(place / name))
        return run(place, name, "train", *words, *more)

    assert answer(trained("ray", *RAY)) == answer(trained("alone"), about)
    pictures = sorted((place / "pictures").rglob("*.png"))
    found = [automl_tl.load(place / name / "bundle").probabilities(pictures) for name in ("ray", "alone")]
    np.testing.assert_allclose(*found, rtol=0, atol=1e-3)


def about(number: str) -> Any:
    """Return what equals the number up to rounding."""
    return pytest.approx(float(number), rel=1e-3, abs=1e-3)


def answer(done: subprocess.CompletedProcess[str], parse_float: Callable[[str], Any] = float) -> Any:
    """Return what a command says, but for where its model lies and how long anything took."""

    def timeless(one: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in one.items() if name not in ("bundle", "seconds")}

    reasons_timeless = re.sub(r", \d+ s\)", ")", done.stdout)
    return json.loads(reasons_timeless, object_hook=timeless, parse_float=parse_float)

"""The real thing: EfficientNet-Lite0's real weights on the demo photos, through the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from automl_tl.resources import meta_path
from automl_tl.strategies import STRATEGIES

DEMO = meta_path("demo")


def recommend(*options: str, cache: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "automl_tl", "recommend", str(DEMO), "--backbone", "efficientnet_lite0"]
    return subprocess.run(
        [*command, "--cache-dir", str(cache), *options], capture_output=True, text=True, timeout=600, check=False
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def answer(cache: Path) -> dict[str, Any]:
    result = recommend("--no-try-training", "--format", "json", cache=cache)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)  # one object and nothing else


def test_clothing_photos_are_similar(answer: dict[str, Any]) -> None:
    assert answer["domain"]["verdict"] == "similar"
    assert answer["domain"]["measure"] == "embedding"
    assert answer["domain"]["reference"].startswith("ImageNet-1k")
    assert answer["size"]["n_images"] == 80
    assert answer["matrix"]["cell"] in ("feature_extractor", "fine_tuning")
    assert answer["strategy"]["name"] in ("feature_extractor", "fine_tuning")


def test_late_cuts_win_and_the_accuracy_is_far_above_chance(answer: dict[str, Any]) -> None:
    assert answer["strategy"]["cut"] >= 7
    assert answer["expected"]["interval"][0] > 0.3  # ten classes
    best = {tuple(p["cuts"]): p["accuracy"] for p in reversed(answer["probe"])}
    assert best[(9,)] > best[(1,)] + 0.15


def test_turning_clothes_upside_down_harms(answer: dict[str, Any]) -> None:
    assert answer["strategy"]["augmentation"]["hflip"] == 0.5
    assert answer["strategy"]["augmentation"]["vflip"] == 0.0


def test_the_classifier_sees_clothes(answer: dict[str, Any]) -> None:
    seen = {entry["label"] for entry in answer["domain"]["looks_like"]}
    assert seen & {"jersey", "jean", "swimming trunks", "sweatshirt", "cardigan", "overskirt", "miniskirt", "gown"}


def test_the_page_names_the_strategies_and_a_second_run_computes_nothing(answer: dict[str, Any], cache: Path) -> None:
    result = recommend("--no-try-training", cache=cache)
    assert result.returncode == 0, result.stderr
    for strategy in STRATEGIES:
        assert strategy in result.stdout
    assert "\x1b" not in result.stdout
    assert f"{answer['expected']['accuracy']:.1%} accuracy" in result.stdout
    again = json.loads(recommend("--no-try-training", "--format", "json", cache=cache).stdout)
    assert again["seconds"]["features"] < 1
    assert again["reasons"] == answer["reasons"]

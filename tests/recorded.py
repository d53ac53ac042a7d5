"""What `tests/fixtures` was made from: pictures, commands, and what in their answers may differ between machines.

Everything goes through the command line and public names, so that whatever lies behind them may move.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import torch
from click.testing import CliRunner
from threadpoolctl import threadpool_limits

import automl_tl
from automl_tl.cli import main
from automl_tl.lab import calibration, neighbours

FIXTURES = Path(__file__).parent / "fixtures"
BUNDLES, RUNS = ("feature_extractor", "early_feature_extractor", "fine_tuning", "ensemble"), ("finished", "interrupted")

_JSON = "--device cpu --format json"
_BOTH = f"--backbone tiny --backbone small {_JSON}"
_TABLE = "table.csv --group-column patient"
RUN = f"search folder --backbone small --seed 2 {_JSON}"
"""How the fixtures' runs and bundles were begun."""
REFERENCE = "reference build tiny source --device cpu"
"""What makes the pretraining domain of one of the two backbones known to the commands."""
ANSWERS = {
    "recommend": f"recommend folder --no-try-training {_BOTH}",
    "recommend_table": f"recommend {_TABLE} --no-try-training --metric macro_f1 --seed 3 {_BOTH}",
    "evaluate": f"evaluate bundles/ensemble table.csv --split all {_JSON}",
    "recommend_page": "recommend folder --no-try-training --backbone tiny --device cpu",
    "evaluate_page": "evaluate bundles/fine_tuning table.csv --split all --device cpu --verbose",
    "predict_page": "predict bundles/ensemble listed --top-k 2 --device cpu",
    "inspect_page": "inspect table.csv --group-column patient",
}
SEARCHES = {
    "search": f"search folder --trials 12 --out new {_BOTH}",
    "search_table": f"search {_TABLE} --metric log_loss --seed 1 --trials 10 --out new {_BOTH}",
    "resume_finished": f"{RUN} --trials 4 --out finished --resume",
    "resume_interrupted": f"{RUN} --trials 10 --out interrupted --resume",
    "search_page": "search folder --backbone small --trials 1 --out new --device cpu",
}
"""Those that leave a leaderboard beside their answer."""

CLASSES = ("apple", "leaf", "sky")
_COLOURS = np.array([(200, 60, 50), (60, 160, 70), (70, 90, 200)])
_SIDE, _SIGNAL = 32, 0.15


# --- pictures ---------------------------------------------------------------------------------------


def write_picture(file: Path, kind: int, seed: int, *, signal: float = _SIGNAL) -> Path:
    """Write a noisy picture of class `kind`, the same bytes everywhere: no encoder, and a generator that is frozen."""
    noise = np.random.RandomState(1000 * kind + seed).randint(0, 256, (8, 8, 3))
    coarse = (noise * round(100 * (1 - signal)) + _COLOURS[kind] * round(100 * signal)) // 100
    pixels = coarse.astype(np.uint8).repeat(_SIDE // 8, axis=0).repeat(_SIDE // 8, axis=1)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(f"P6\n{_SIDE} {_SIDE}\n255\n".encode() + pixels.tobytes())
    return file


def write_folder(root: Path, counts: tuple[int, ...], seed: int, **more: float) -> None:
    """Write a folder of class folders below `root`."""
    for kind, (name, count) in enumerate(zip(CLASSES, counts, strict=True)):
        for index in range(count):
            write_picture(root / name / f"{index:03d}.ppm", kind, seed + index, **more)


def write_table(file: Path, counts: tuple[int, ...], seed: int) -> None:
    """Write pictures and a table of them with a given split and patients of two pictures each."""
    rows = [("path", "label", "split", "patient")]
    for kind, (name, count) in enumerate(zip(CLASSES, counts, strict=True)):
        for index in range(count):
            picture = write_picture(file.parent / "listed" / f"{name}{index:03d}.ppm", kind, seed + index)
            part = ("train", "train", "train", "val", "test")[index // 2 % 5]
            rows.append((str(picture.relative_to(file.parent)), name, part, f"{name}{index // 2}"))
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)


def lay_out(root: Path) -> None:
    """Write to `root` whatever a command names, copies of the fixtures' bundles and runs included."""
    write_folder(root / "folder", (12, 12, 12), seed=0)
    write_folder(root / "source", (20, 20, 20), seed=300, signal=0.1)
    write_table(root / "table.csv", (20, 12, 10), seed=600)
    if (FIXTURES / "bundles").is_dir():
        shutil.copytree(FIXTURES / "bundles", root / "bundles")
    for name in RUNS:
        if (FIXTURES / "runs" / name).is_dir():
            shutil.copytree(FIXTURES / "runs" / name, root / name)


# --- commands ---------------------------------------------------------------------------------------


@contextmanager
def as_recorded(root: Path) -> Iterator[None]:
    """Work in `root`, with the fixtures' plugin and experience, one thread, and float32 whatever this CPU is good at.

    The panel and its calibration go on to grow; what is recorded rests on those that lie beside it.
    """
    settings = {
        "AUTOML_TL_CACHE_DIR": str(root / "cache"),
        "AUTOML_TL_PREFLIGHT_SECONDS": "0",
        "HF_HUB_OFFLINE": "1",
        "XDG_DATA_HOME": str(root / "data"),
    }
    plugin, threads = str(FIXTURES / "plugin"), torch.get_num_threads()
    torch.set_num_threads(1)
    with (
        chdir(root),
        threadpool_limits(1),
        mock.patch.dict(os.environ, settings),
        mock.patch.object(sys, "path", [plugin, *sys.path]),
        mock.patch.object(torch.cpu, "get_capabilities", dict, create=True),
        experience_of(FIXTURES / "experience"),
    ):
        try:
            yield
        finally:
            torch.set_num_threads(threads)


@contextmanager
def experience_of(folder: Path) -> Iterator[None]:
    """Take the panel and its calibration from a folder."""
    known = (calibration.calibration, neighbours._panel)
    for one in known:
        one.cache_clear()
    try:
        with (
            mock.patch.object(calibration, "meta_path", folder.joinpath),
            mock.patch.object(neighbours, "meta_path", folder.joinpath),
        ):
            yield
    finally:
        for one in known:
            one.cache_clear()


def run(command: str) -> str:
    """Return what `automl-tl COMMAND` prints, files from here; raises AssertionError where it does not end well."""
    result = CliRunner().invoke(main, shlex.split(command))
    assert result.exit_code == 0, result.output
    return result.stdout.replace(f"{Path.cwd()}{os.sep}", "")


def answer(command: str) -> Any:
    """Return the JSON of a command, or the words of its page, without what may differ."""
    text = run(command)
    return masked(json.loads(text) if "--format json" in command else " ".join(text.split()))


def leaderboard(command: str) -> pd.DataFrame:
    """Return the leaderboard that a search left, in the order of its trials, without their seconds."""
    words = shlex.split(command)
    table = pd.read_csv(Path(words[words.index("--out") + 1]) / "leaderboard.csv")
    return table.drop(columns="seconds").sort_values("number", ignore_index=True)


def bundle_probabilities(name: str) -> list[list[float]]:
    """Return what a bundle says of the pictures of the table, a row of probabilities for each."""
    model = automl_tl.load(f"bundles/{name}", "cpu")
    return [_rounded(one.probabilities) for one in model.predict(sorted(Path("listed").iterdir()))]


def estimator_probabilities() -> list[list[float]]:
    """Return what scikit-learn's estimator says of the pictures that it was fitted on."""
    files = sorted(Path("folder").rglob("*.ppm"))
    model = automl_tl.TransferClassifier(trials=1, backbones=["small"], device="cpu", random_state=3)
    return [_rounded(row) for row in model.fit(files, [file.parent.name for file in files]).predict_proba(files)]


def _rounded(numbers: Iterable[float]) -> list[float]:
    return [round(float(number), 7) for number in numbers]


# --- what may differ --------------------------------------------------------------------------------

_DURATION = re.compile(r"\b\d+(\.\d+)? (s|min|h)\b( \d+ (s|min)\b)?")
_DECIMALS = re.compile(r"\d+\.\d+")
TOLERANCE = 5e-4
"""Relative and absolute: numbers are shown with 4 decimals, and with other instructions than AVX-512 they move by 1e-4
at most (measured with those of SSE 4 and AVX2)."""
TOLERANCE_OF_EVERYTHING = 0.005
"""Where every stage learned: differences grow from step to step. Two makes of CPU, both with AVX-512, came to log
losses of .796 and .800 after a hundred epochs."""


def masked(value: Any) -> Any:
    """Return JSON values with durations replaced by "*"."""
    if isinstance(value, dict):
        return {key: "*" if key in ("seconds", "seconds_by_part") else masked(one) for key, one in value.items()}
    if isinstance(value, list):
        return [masked(one) for one in value]
    return _DURATION.sub("* s", value) if isinstance(value, str) else value


def differences(before: Any, now: Any, where: str = "") -> list[str]:
    """Return where two JSON values differ by more than rounding."""
    if isinstance(before, dict) and isinstance(now, dict) and before.keys() == now.keys():
        return [d for key in before for d in differences(before[key], now[key], f"{where}.{key}")]
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        return [d for i, pair in enumerate(zip(before, now, strict=True)) for d in differences(*pair, f"{where}[{i}]")]
    return [] if _alike(before, now) else [f"{where}: {before!r} is now {now!r}"]


def _alike(before: Any, now: Any) -> bool:
    if isinstance(before, float) and isinstance(now, float | int):
        return abs(before - now) <= TOLERANCE * max(1.0, abs(before))
    if isinstance(before, str) and isinstance(now, str):
        numbers = zip(_DECIMALS.findall(before), _DECIMALS.findall(now), strict=False)
        return _DECIMALS.sub("#", before) == _DECIMALS.sub("#", now) and all(_same_digits(*pair) for pair in numbers)
    return type(before) is type(now) and before == now


def _same_digits(before: str, now: str) -> bool:
    """Return whether two decimals differ by one in the last place at most."""
    return abs(float(before) - float(now)) < 1.5 * 10.0 ** -len(before.partition(".")[2])

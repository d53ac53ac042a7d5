"""One tool in one cell: it learns in a process of its own, then another process predicts the test pictures."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.peers.cells import MIRRORED, Cell, drawn
from benchmarks.peers.tools import SCRIPTS, Tool

THREADS = 2
SEED = 1
OVERTIME = 3.0
"""A tool that is still learning after so many times its budget, and five minutes, is ended."""
LEAST_PROBABILITY = 1e-6
"""Probabilities are kept above it, so that one certain mistake does not decide a mean log loss."""


class FailedError(Exception):
    """A tool ended without a model, or without an answer for every test picture."""


@dataclass(frozen=True)
class Place:
    """Where things lie on this machine."""

    data: Path
    environments: Path
    hub: Path
    """A hub's cache folder with the weights; see `environments.py`."""
    log: Path = field(default=Path(os.devnull))
    """What the tools print is added to it."""


def measure(tool: Tool, cell: Cell, budget: int, place: Place) -> dict[str, Any]:
    """Return the row of a tool: accuracy, log loss, seconds, and where these went if it has left them in parts.json.

    The seconds are those from the start of the process to its end, imports and writing the model included; testing is
    not.

    Raises:
        FailedError: the tool gave no answer; the message says which step.
    """
    train, test = drawn(place.data, cell)
    with tempfile.TemporaryDirectory(prefix="peers_") as name:
        folder = Path(name)
        train.to_csv(folder / "train.csv", index=False)
        test[["path"]].to_csv(folder / "test.csv", index=False)
        load = os.getloadavg()[0]
        options = ["--data", cell.data, "--seed", str(SEED), *(["--mirrored"] if cell.data in MIRRORED else [])]
        started = time.monotonic()
        options += ["--budget", str(budget), "--started", repr(started)]
        options += ["--backbones", *tool.backbones] if tool.backbones else []
        limit = OVERTIME * budget + 300
        _run(tool, place, limit, "train", folder / "train.csv", folder / "model", *options)
        seconds = time.monotonic() - started
        _run(tool, place, 1800, "predict", folder / "test.csv", folder / "model", folder / "answer.csv")
        answer = pd.read_csv(folder / "answer.csv")
        parts = folder / "parts.json"
        went = {"parts": parts.read_text()} if parts.exists() else {}
    return {
        "data": cell.data, "per_class": cell.per_class, "draw": cell.draw, "budget": budget, "tool": tool.name,
        **scored(answer, test["label"].astype(str)), "seconds": round(seconds, 2),
        "n_train": len(train), "n_test": len(test), "load": round(load, 1), **went,
    }  # fmt: skip


def scored(answer: pd.DataFrame, labels: pd.Series) -> dict[str, Any]:
    """Return accuracy, mean log loss and which pictures were right, as text of 0 and 1.

    Args:
        answer: probabilities (n, C), a column per class.
        labels: of the same n pictures.

    Raises:
        FailedError: pictures or classes are missing, or a probability is no number.
    """
    values, classes = answer.to_numpy(float), np.asarray(answer.columns, str)
    if len(values) != len(labels) or not np.isfinite(values).all() or not set(labels) <= set(classes):
        raise FailedError(
            f"{len(values)} answers of {len(classes)} classes for {len(labels)} pictures of {labels.nunique()}"
        )
    right = classes[values.argmax(1)] == labels.to_numpy()
    true = values[np.arange(len(values)), pd.Index(classes).get_indexer(labels)] / values.sum(1)
    loss = -np.log(true.clip(LEAST_PROBABILITY)).mean()
    return {"accuracy": right.mean(), "log_loss": loss, "right": "".join("1" if one else "0" for one in right)}


def _run(tool: Tool, place: Place, limit: float, *arguments: str | Path) -> None:
    python = tool.python(place.environments) or Path(sys.executable)
    command = [str(python), str(SCRIPTS / tool.script), *map(str, arguments)]
    with place.log.open("ab") as log:
        try:
            done = subprocess.run(command, env=_environment(tool, place), stdout=log, stderr=log, timeout=limit)
        except subprocess.TimeoutExpired:
            raise FailedError(f"{tool.name} was ended after {limit:.0f} s of '{arguments[0]}'") from None
    if done.returncode:
        raise FailedError(f"{tool.name} failed to {arguments[0]} with status {done.returncode}")


def _environment(tool: Tool, place: Place) -> dict[str, str]:
    """Return the variables of a tool: two threads, no network, weights from the hub's cache, its own code."""
    threads = {name: str(THREADS) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    code = {} if tool.code is None else {"PYTHONPATH": str(tool.code)}
    return {**kept, **threads, **code, "HF_HOME": str(place.hub.resolve()), "HF_HUB_OFFLINE": "1"}


def keep_to_cores() -> None:
    """Keep this process, and every one that it starts, to two cores."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])

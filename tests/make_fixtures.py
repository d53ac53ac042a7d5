"""Make `tests/fixtures` anew with the code as it is: python tests/make_fixtures.py [answers]

They say what must not change, so this is for a change that is meant to, and its commit says so.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from recorded import (
    ANSWERS,
    BUNDLES,
    FIXTURES,
    REFERENCE,
    RUN,
    RUNS,
    SEARCHES,
    answer,
    as_recorded,
    bundle_probabilities,
    estimator_probabilities,
    lay_out,
    leaderboard,
    run,
)

import automl_tl
from automl_tl.monitor import Silent

_LEFT_BEHIND = shutil.ignore_patterns(".lock", "scratch", ".*.tmp")


class Killer(Silent):
    """Watches a search and ends its process, as a kill would, when so many trials are done."""

    def __init__(self, trials: int) -> None:
        self.trials = trials

    def show(self, status: Any) -> None:
        if status.n_trials == self.trials:
            os._exit(9)


def interrupted(root: str) -> None:
    """Begin a run that dies in its third trial."""
    with as_recorded(Path(root)):
        automl_tl.search(
            "folder", trials=4, out="interrupted", backbones=["small"], device="cpu", seed=2, monitor=Killer(2)
        )


def make_runs(root: Path) -> None:
    run(f"{RUN} --trials 2 --out finished")
    process = multiprocessing.get_context("spawn").Process(target=interrupted, args=(str(root),))
    process.start()
    process.join()
    assert process.exitcode == 9, f"the run ended with {process.exitcode}, not as it was to be killed"
    result = root / "finished" / "result.json"
    result.write_text(result.read_text().replace(f"{root}{os.sep}", ""))
    for name in RUNS:
        shutil.copytree(root / name, FIXTURES / "runs" / name, ignore=_LEFT_BEHIND)


def make_bundles(root: Path) -> None:
    for name in BUNDLES:
        strategy = "" if name == "ensemble" else f" --strategy {name}"
        run(f"{RUN} --trials 2 --out made_{name}{strategy}")
        for folder in (root, FIXTURES):
            shutil.copytree(root / f"made_{name}" / "bundle", folder / "bundles" / name)
    write("bundles/probabilities", {name: bundle_probabilities(name) for name in BUNDLES})


def make_answers() -> None:
    run(REFERENCE)
    for name, command in (ANSWERS | SEARCHES).items():
        write(f"answers/{name}", answer(command))
        if name in SEARCHES:
            leaderboard(command).to_csv(FIXTURES / "answers" / f"{name}.csv", index=False)
        shutil.rmtree("new", ignore_errors=True)
    write("answers/estimator", estimator_probabilities())


def write(name: str, values: Any) -> None:
    file = FIXTURES / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    makers = {"runs": make_runs, "bundles": make_bundles, "answers": lambda _: make_answers()}
    wanted = sys.argv[1:] or list(makers)
    for name in wanted:
        shutil.rmtree(FIXTURES / name, ignore_errors=True)
    for make in map(makers.__getitem__, wanted):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder).resolve()
            lay_out(root)
            with as_recorded(root):
                make(root)
    packages = ("automl-tl", "torch", "numpy", "optuna", "scikit-learn", "kornia")
    write("made_with", {"python": platform.python_version(), **{p: version(p) for p in packages}})


if __name__ == "__main__":
    main()

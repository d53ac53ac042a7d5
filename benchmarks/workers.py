"""What workers bring: trials and pictures per second, the engine's overhead, and where the driver becomes the limit.

    python benchmarks/workers.py DATA [--workers 1 2 4] [--trials 60] [--tasks 200]     # on Ray, on this machine
    python benchmarks/workers.py simulate RUN/leaderboard.csv [--workers 8 64 256] [--trials 640] [--draws 2]

The first looks at DATA with 1, 2 and 4 workers: seconds per empty task, pictures per second of one backbone's features,
and frozen trials per second on kept features, of a search that follows one with the same seed which filled the cache.
The second trains nothing: the search's own study proposes for as many workers as are given, in the search's own space.
What a trial takes is drawn from the seconds of a real run's trials; what the driver takes is measured here: to ask, to
keep an outcome of 500 pictures and 10 classes, and to tell, with the journal on the disk; sending a task is not in it.
What a trial comes to is a smooth function whose best place the seed draws. It prints how busy workers and driver are
in so many trials, as many for each number of workers, since the sampler takes longer the more it looks at; what a trial
takes the driver; and the best value after the first 80 trials. What else the loop does, ranking and interim models, is
not in it. Both write to `results/`.
"""

from __future__ import annotations

import argparse
import heapq
import sys
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
from optuna.trial import Trial

import automl_tl
from automl_tl.cluster import RayExecutor
from automl_tl.features.picture import pictures_of
from automl_tl.lab.lab import open_lab
from automl_tl.learning.configuration import Configuration
from automl_tl.monitor import Silent, Status
from automl_tl.options import LabOptions
from automl_tl.searcher.space.search_space import Space
from automl_tl.searcher.trials.journal import open_storage
from automl_tl.searcher.trials.outcome import Outcome
from automl_tl.searcher.trials.outcome_file import write_outcome
from automl_tl.searcher.trials.study import Study
from automl_tl.strategies import FROZEN

RESULTS = Path(__file__).parent / "results"
BACKBONE = "efficientnet_lite0"


class Times(Silent):
    """Notes when trials began."""

    def __init__(self) -> None:
        self.begun: list[float] = []

    def show(self, status: Status) -> None:
        self.begun.append(time.perf_counter())


def nothing() -> None:
    """Do nothing."""


def empty_seconds(executor: RayExecutor, tasks: int) -> float:
    """Return the seconds per empty task, as many of them at once as there are workers."""
    executor.submit(nothing).result()
    began = time.perf_counter()
    for _ in range(0, tasks, executor.n_workers):
        for one in [executor.submit(nothing) for _ in range(executor.n_workers)]:
            one.result()
    return (time.perf_counter() - began) / tasks


def rates(data: Path, executor: RayExecutor, trials: int) -> tuple[float, float]:
    """Return pictures per second, and frozen trials per second on their features."""
    with tempfile.TemporaryDirectory() as folder:
        lab = open_lab(data, LabOptions(backbones=(BACKBONE,), cache_dir=folder, executor=executor))
        pictures, began = pictures_of(lab.dataset.frame), time.perf_counter()
        lab.features(BACKBONE, pictures)
        seen = len(pictures) / (time.perf_counter() - began)
        for run in ("fills the cache", "is timed"):
            times = Times()
            automl_tl.search(
                data, backbones=[BACKBONE], strategies=FROZEN, trials=trials, executor=executor, monitor=times,
                cache_dir=folder, out=Path(folder) / run,
            )  # fmt: skip
    return seen, (len(times.begun) - 1) / (times.begun[-1] - times.begun[0])


def measure(data: Path, workers: list[int], trials: int, tasks: int) -> pd.DataFrame:
    rows = []
    for n in workers:
        executor = RayExecutor("local", n, "cpu")
        empty = empty_seconds(executor, tasks)
        seen, tried = rates(data, executor, trials)
        rows.append({"workers": n, "cores each": executor.cores, "ms per empty task": 1e3 * empty})
        rows[-1] |= {"pictures/s": seen, "trials/s": tried}
    return pd.DataFrame(rows)


def value(trial: Trial, seed: int) -> float:
    """Return what a trial comes to: 1 where every parameter has its best value, which the seed draws."""
    closeness = []
    for name, distribution in trial.distributions.items():
        best = np.random.default_rng([seed, zlib.crc32(name.encode())]).random()
        choices = getattr(distribution, "choices", None)
        if choices is None:
            low, high = distribution.low, distribution.high
            scale = np.log if distribution.log else float
            place = (scale(trial.params[name]) - scale(low)) / max(scale(high) - scale(low), 1e-9)
        else:
            place = choices.index(trial.params[name]) / max(len(choices) - 1, 1)
        closeness.append(np.exp(-4 * (place - best) ** 2))
    return float(np.mean(closeness))


def simulate(seconds: np.ndarray, workers: int, trials: int, seed: int, folder: Path) -> dict[str, float]:
    """Return how a search with so many workers goes; its clock is simulated, but for what the driver itself takes."""
    stages = 9
    cuts = frozenset(range(1, stages + 1))
    space = Space({BACKBONE: stages}, {BACKBONE: cuts}, {BACKBONE: cuts})
    study = Study(open_storage(folder / "study.journal"), space, seed)
    scores, rows = np.random.default_rng(seed).random((500, 10), np.float32), np.arange(500)
    chance, clock, driver, busy, values = np.random.default_rng(seed), 0.0, 0.0, 0.0, list[float]()
    running: list[tuple[float, int, Trial, Configuration]] = []
    for number in range(trials + workers):
        began = time.perf_counter()
        if len(running) == workers or number >= trials:
            ends, _, trial, configuration = heapq.heappop(running)
            clock, found = max(clock, ends), value(trial, seed)
            values.append(found)
            began = time.perf_counter()
            outcome = Outcome(configuration, found, rows, scores, 0.0, number=trial.number)
            write_outcome(folder / f"{trial.number}.safetensors", outcome)
            study.complete(trial, outcome)
        if number < trials:
            trial, configuration = study.ask()
        took = time.perf_counter() - began
        clock, driver = clock + took, driver + took
        if number < trials:
            takes = float(chance.choice(seconds))
            busy += takes
            heapq.heappush(running, (clock + takes, number, trial, configuration))
        if not running:
            break
    return {
        "trials": trials, "seconds": clock, "workers busy": busy / (workers * clock), "driver busy": driver / clock,
        "driver ms per trial": 1e3 * driver / trials, "best of 80": max(values[:80]),
    }  # fmt: skip


def simulated(leaderboard: Path, workers: list[int], trials: int, draws: int) -> pd.DataFrame:
    table = pd.read_csv(leaderboard)
    seconds = table.loc[(table["kind"] == "trial") & (table["state"] == "complete"), "seconds"].to_numpy()
    rows = []
    for n in sorted({1, *workers}):
        found = []
        for seed in range(draws):
            with tempfile.TemporaryDirectory() as folder:
                found.append(simulate(seconds, n, trials, seed, Path(folder)))
        rows.append({"workers": n, **pd.DataFrame(found).mean()})
        print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def main() -> None:
    simulating = sys.argv[1:2] == ["simulate"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument(
        "--workers", type=int, nargs="+", default=[8, 16, 32, 64, 128, 256] if simulating else [1, 2, 4]
    )
    parser.add_argument("--trials", type=int, default=640 if simulating else 60)
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--draws", type=int, default=2)
    given = parser.parse_args(sys.argv[2:] if simulating else None)
    if simulating:
        table, name = simulated(given.data, given.workers, given.trials, given.draws), "workers_simulated"
    else:
        table, name = measure(given.data, given.workers, given.trials, given.tasks), "workers"
    table.to_csv(RESULTS / f"{name}.csv", index=False, float_format="%.4g")
    print(table.to_string(index=False, float_format="{:.4g}".format))


if __name__ == "__main__":
    main()

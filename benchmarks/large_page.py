"""How large the page of a large run is, how long it takes to make, and how long a browser takes to open it.

    automl-tl search FOLDER --trials 4 --out RUN          # any small run whose pictures are still there
    python benchmarks/large_page.py RUN [--pictures 10000] [--trials 2000] [--page page.html]

The small run is made large: its trials, epochs, pictures, answers and duplicates are repeated with other numbers, so
that everything a page caps is beyond its cap. Nothing is trained. Opening is timed in headless Chromium, where it is
installed: from the beginning of the navigation until all is parsed, run and laid out, the median of five.
"""

from __future__ import annotations

import argparse
import copy
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from optuna.trial import FrozenTrial

from automl_tl.data.dataset import ImageDataset
from automl_tl.data.listing import Skipped
from automl_tl.data.quality import QualityReport
from automl_tl.errors import AutomlTlError
from automl_tl.model.evaluation import evaluate_probabilities
from automl_tl.monitor import Epoch
from automl_tl.report.page import render
from automl_tl.report.run import Pictures, run_page
from automl_tl.reviewer.parameters import review_parameters
from automl_tl.reviewer.run import Run, open_run, pictures_of
from automl_tl.searcher.trials.journal import read_trials
from automl_tl.searcher.trials.leaderboard import leaderboard

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
TIMER = """<script>
document.body.getBoundingClientRect();  // lays everything out
const told = document.createElement("pre");
told.id = "took"; told.textContent = performance.now(); document.body.append(told);
</script>"""
EPOCHS, CLASSES = 30, 100


def many_trials(few: list[FrozenTrial], n: int, rng: np.random.Generator) -> list[FrozenTrial]:
    """Return n scored trials, repeated from a few, each with a score of its own."""
    scored = [trial for trial in few if trial.value is not None]
    made = []
    for number in range(n):
        trial = copy.copy(scored[number % len(scored)])
        trial.number, trial.value = number, float(rng.uniform(0.5, 0.99))
        made.append(trial)
    return made


def large_run(run: Run, n_pictures: int, n_trials: int) -> Run:
    """Return the run with so many trials, all of them with epochs, and so many test pictures of 100 classes."""
    rng = np.random.default_rng(0)
    trials = many_trials(read_trials(run.folder / "study.journal"), n_trials, rng)
    epochs = [Epoch(e, EPOCHS, e / EPOCHS, 2 / e, 1e-3, e, 0.9 if e % 8 == 0 else None) for e in range(1, EPOCHS + 1)]
    what = next(iter(run.histories.values()))[0]
    y = rng.integers(CLASSES, size=n_pictures)
    probabilities = rng.dirichlet(np.full(CLASSES, 0.1), n_pictures)
    test = evaluate_probabilities(y, probabilities, [f"class number {label}" for label in range(CLASSES)])
    return replace(
        run,
        table=leaderboard(trials, run.metric),
        parameters=review_parameters(trials, greater_is_better=True),
        histories={number: (what, tuple(epochs)) for number in range(n_trials)},
        test=replace(test, paths=tuple(f"picture {number}" for number in range(n_pictures))),
    )


def large_data(dataset: ImageDataset, report: QualityReport, n: int) -> Pictures:
    """Return n pictures, a third of them twice, and half as many files left out."""
    frame = pd.concat([dataset.frame] * (1 + n // len(dataset.frame)), ignore_index=True).head(n)
    groups = tuple((f"some/where/{k}.jpg", f"some/where/else/{k}.jpg") for k in range(n // 3))
    skipped = tuple(Skipped(f"some/where/broken {k}.jpg", "truncated or damaged") for k in range(n // 2))
    return Pictures(dataset.with_frame(frame, skipped=skipped), replace(report, exact=groups))


def opened(page: str) -> float | None:
    """Return the seconds that Chromium takes to open a page, or None without it."""
    if CHROMIUM is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "page.html"
        file.write_text(page.replace("</body>", f"{TIMER}</body>"), encoding="utf-8")
        command = [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/profile",
            "--window-size=1200,900", "--dump-dom", file.as_uri(),
        ]  # fmt: skip
        took = [re.search(r'<pre id="took">([\d.]+)', _output(command)) for _ in range(5)]
    return statistics.median(float(one.group(1)) / 1000 for one in took if one)


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--trials", type=int, default=2_000)
    parser.add_argument("--page", type=Path)
    asked = parser.parse_args()
    try:
        small = open_run(asked.run)
        data = large_data(*pictures_of(small), asked.pictures)
    except AutomlTlError as error:
        parser.error(str(error))
    if not small.histories:
        parser.error(f"no trial of {asked.run} was trained: give a run in which one was")
    begun = time.perf_counter()
    run = large_run(small, asked.pictures, asked.trials)
    prepared = time.perf_counter()
    page = render(run_page(run, data))
    made = time.perf_counter()
    if asked.page is not None:
        asked.page.write_text(page, encoding="utf-8")
    seconds = opened(page)
    print(f"{asked.pictures:,} pictures, {asked.trials:,} trials: {len(page.encode()) / 1e6:.2f} MB")
    print(f"reviewed in {prepared - begun:.1f} s, made in {made - prepared:.1f} s")
    print("no Chromium" if seconds is None else f"opened in {seconds:.2f} s")


if __name__ == "__main__":
    main()

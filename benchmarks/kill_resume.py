"""Kill a search at random moments, go on with it, and see that nothing was lost.

    python benchmarks/kill_resume.py DATA [--kills 20] [--seed 0]

One run is begun on DATA and killed (SIGKILL) again and again, each time after a random number of seconds, and gone on
with by --resume. After every kill the trials that the journal knows as complete are read, and those of before must all
be among them with their values. In the end the run is let finish: the model must load and classify every picture of
DATA. Prints one line per kill and writes `results/kill_resume.csv`.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from automl_tl import load
from automl_tl.searcher.trials.journal import open_storage
from automl_tl.searcher.trials.study import NAME

RESULTS = Path(__file__).parent / "results" / "kill_resume.csv"
SHORTEST_SECONDS, LONGEST_SECONDS = 8.0, 40.0


def command(data: Path, run: Path, cache: Path, *, resume: bool, budget: int) -> list[str]:
    words = [sys.executable, "-m", "automl_tl", "search", str(data), "--out", str(run), "--budget", str(budget)]
    words += ["--backbone", "efficientnet_lite0", "--cache-dir", str(cache), "--format", "json"]
    return words + (["--resume"] if resume else [])


def completed(run: Path) -> dict[int, float]:
    """Return {number: value} of the trials that the journal knows as complete."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if not (run / "study.journal").exists():
        return {}
    study = optuna.load_study(study_name=NAME, storage=open_storage(run / "study.journal"))
    return {t.number: t.value for t in study.get_trials() if t.state == optuna.trial.TrialState.COMPLETE}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    folder = Path(tempfile.mkdtemp(prefix="kill_resume_"))
    run, cache = folder / "run", folder / "cache"
    before: dict[int, float] = {}
    rows = []
    for kill in range(arguments.kills):
        wait = rng.uniform(SHORTEST_SECONDS, LONGEST_SECONDS)
        resume = (run / "run.json").exists()
        process = subprocess.Popen(
            command(arguments.data, run, cache, resume=resume, budget=3600),
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        time.sleep(wait)
        ended = process.poll()
        process.send_signal(signal.SIGKILL)
        _, errors = process.communicate()
        if ended not in (None, 0):
            sys.exit(f"the search ended with {ended} before it was killed: {errors.decode()[-500:]}")
        after = completed(run)
        lost = {number for number, value in before.items() if after.get(number) != value}
        valid = _loads(run / "bundle")
        print(f"kill {kill + 1:2d} after {wait:4.1f} s: {len(after):3d} complete, {len(lost)} lost, model {valid}")
        rows.append({"kill": kill + 1, "seconds": wait, "complete": len(after), "lost": len(lost), "model": valid})
        before = after
    last = subprocess.run(
        command(arguments.data, run, cache, resume=True, budget=60), capture_output=True, check=True, text=True
    )
    result, after = json.loads(last.stdout), completed(run)
    lost = {number for number, value in before.items() if after.get(number) != value}
    predictions = load(result["bundle"]).predict(str(arguments.data))
    wrong = sum(p.error is not None for p in predictions)
    print(f"finished: {len(after)} complete, {len(lost)} lost; {len(predictions)} pictures classified, {wrong} errors")
    rows.append({"kill": 0, "seconds": 60, "complete": len(after), "lost": len(lost), "model": "loads"})
    RESULTS.parent.mkdir(exist_ok=True)
    pd.DataFrame(rows).to_csv(RESULTS, index=False)


def _loads(bundle: Path) -> str:
    try:
        load(bundle)
    except Exception as error:
        return "none yet" if not bundle.exists() else f"BROKEN: {error}"
    return "loads"


if __name__ == "__main__":
    main()

"""Seconds and peak memory of the screen and of the solved heads, against pictures, columns and classes.

    python benchmarks/solver.py [--against CHECKOUT] [--out benchmarks/results/solver.csv] [--limit 180]

- screen: out-of-fold scores at 13 penalties in five folds, `ridge_path`.
- trial: the same at one penalty, as a frozen trial of the search asks for it.
- head: the head that fine-tuning begins with; softmax solved at one strength, or what stands for it.

Features are random, of a few clusters, as float32. Every case runs in a process of its own on one thread, and its
seconds are of the processor, so that another program beside it changes little. With --against, an older checkout of
this repository, each runs there too ("before"); what passes --limit seconds, or memory, is written down as that. A
case that is in the file already is not run again.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
CASES = [
    *(("screen", n, d, 10) for n in (500, 2000, 5000) for d in (1280, 2560)),
    ("screen", 2000, 1280, 1000),
    ("screen", 10_000, 1280, 1000),
    *(("screen", n, d, 50) for n in (20_000, 100_000) for d in (1280, 2560)),
    *(("trial", n, 1280, 50) for n in (2000, 20_000, 80_000)),
    *(("head", n, 1280, 10) for n in (500, 2000, 20_000)),
    *(("head", n, 1280, 1000) for n in (2000, 10_000)),
]
"""What is measured: kind, pictures, columns, classes."""
N_FOLDS, PENALTY, STRENGTH = 5, 1.0, 0.1
LARGEST = 12 * 2**30
"""Bytes of address space beyond which a case ends: it "does not fit"."""


def clusters(n: int, d: int, n_classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features float32 (n, d) of overlapping clusters, labels and folds int (n,)."""
    rng = np.random.default_rng(0)
    y = rng.permutation(np.arange(n) % n_classes)
    means = 0.5 * rng.standard_normal((n_classes, 64), dtype=np.float32)
    turn = rng.standard_normal((64, d), dtype=np.float32)
    X = rng.standard_normal((n, d), dtype=np.float32)
    for start in range(0, n, 4096):
        rows = slice(start, start + 4096)
        X[rows] += (means[y[rows]] + rng.standard_normal((len(y[rows]), 64), dtype=np.float32)) @ turn
    return X, y, rng.permutation(np.arange(n) % N_FOLDS)


def measure(kind: str, n: int, d: int, n_classes: int) -> tuple[float, float, float]:
    """Return seconds, the peak of memory (MB) above what the features took, and the accuracy that was found."""
    from automl_tl.learning import classifiers
    from automl_tl.learning.problem import Problem
    from automl_tl.learning.screen import PENALTIES, ridge_path

    X, y, folds = clusters(n, d, n_classes)
    before, start = _peak(), time.process_time()
    if kind == "head":
        head = classifiers.starting_head(X, y, n_classes, STRENGTH)
        seconds, peak = time.process_time() - start, _peak()
        return seconds, peak - before, float((head.predict(X[:2000]) == y[:2000]).mean())
    penalties = PENALTIES if kind == "screen" else np.array([PENALTY])
    path = ridge_path(Problem(X, y, folds, n_classes), penalties=penalties)
    return time.process_time() - start, _peak() - before, path.value


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(code: Path, case: tuple[str, int, int, int], limit: float) -> dict[str, object]:
    """Return a row: a case in a new process with the package of the checkout `code`."""
    command = [sys.executable, __file__, "--case", *map(str, case)]
    environment = {**os.environ, "PYTHONPATH": str(code), **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")}
    try:
        done = subprocess.run(
            command, env=environment, cwd=code, capture_output=True, text=True, timeout=limit, check=False
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"note": f"over {limit:.0f} s"}
    if done.returncode:
        return {"note": "does not fit" if "alloc" in done.stderr or "MemoryError" in done.stderr else "failed"}
    seconds, peak, value = map(float, done.stdout.split()[-3:])
    return {"seconds": round(seconds, 2), "peak_mb": round(peak), "value": round(value, 4), "note": ""}


def table(rows: pd.DataFrame) -> str:
    """Return the cases with seconds and memory before and after, and their ratios."""
    index = ["kind", "n", "d", "classes"]
    wide = rows.pivot(index=index, columns="code", values=["seconds", "peak_mb", "note"])
    shown = pd.DataFrame(index=wide.index)
    for name in ("seconds", "peak_mb"):
        for code in sorted(rows["code"].unique(), reverse=True):
            values, notes = wide[name, code], wide["note", code].fillna("")
            shown[f"{name} {code}"] = [note or value for value, note in zip(values, notes, strict=True)]
        if rows["code"].nunique() == 2:
            ratio = wide[name, "before"].astype(float) / wide[name, "after"].astype(float)
            shown[f"{name} ratio"] = ratio.round(1)
    return shown.to_string()


def main() -> None:
    """Measure what is not in the file yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", type=Path)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "solver.csv")
    parser.add_argument("--limit", type=float, default=180.0)
    parser.add_argument("--case", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        resource.setrlimit(resource.RLIMIT_AS, (LARGEST, LARGEST))
        kind, *sizes = options.case
        print(*measure(kind, *map(int, sizes)))
        return
    codes = {"after": ROOT} | ({"before": options.against.resolve()} if options.against else {})
    rows = pd.read_csv(options.out, keep_default_na=False).to_dict("records") if options.out.exists() else []
    known = {(row["code"], row["kind"], row["n"], row["d"], row["classes"]) for row in rows}
    for case in CASES:
        for name, code in codes.items():
            if (name, *case) not in known:
                row = dict(zip(("code", "kind", "n", "d", "classes"), (name, *case), strict=True))
                rows.append({**row, **run(code, case, options.limit)})
                print(rows[-1], flush=True)
                temporary = options.out.with_suffix(".tmp")
                pd.DataFrame(rows).to_csv(temporary, index=False)
                temporary.replace(options.out)
    frame = pd.DataFrame(rows)
    frame[["seconds", "peak_mb"]] = frame[["seconds", "peak_mb"]].apply(pd.to_numeric)
    print(table(frame))


if __name__ == "__main__":
    main()

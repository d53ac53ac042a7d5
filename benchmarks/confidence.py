"""What is expected of frozen features with and without what their probabilities claim, beside what came true.

    python benchmarks/confidence.py ../shared/data --cores 2

Draws of the panel's data sets, EfficientNet-Lite0: its own rows, and three further draws of 3, 5, 10 and 25 pictures a
class. Test pictures are seen by nothing. Rows are added to `benchmarks/results/confidence.csv` as soon as they are
known, and what stands there is not measured again. Errors are root mean squares in points, the noise of the test part
taken off.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from panel import assessed
from panel_rows import LITE0, SETS, Row, Sources, opened, planned

from automl_tl.features.picture import pictures_of
from automl_tl.lab.assessment import Assessment
from automl_tl.lab.expectations import expect
from automl_tl.lab.lab import Lab
from automl_tl.learning.classifiers import solve_classifier

OUT = Path(__file__).parent / "results" / "confidence.csv"
SIZES = {"under 30 pictures": (0, 30), "30 to 199": (30, 200), "200 and more": (200, 10**6), "all": (0, 10**6)}


def draws() -> Iterator[Row]:
    """Yield every draw; those of the panel come first."""
    yield from (row for row in planned() if row.backbone == LITE0)
    yield from (Row(data, n, k) for k in (2, 3, 4) for n in (10, 5, 3, 25) for data in (*SETS, "digits", "glyphs"))


def measured(data: Path, row: Row) -> list[dict[str, Any]]:
    """Return what is expected of the two frozen strategies on a draw, both ways, and what they reach."""
    with tempfile.TemporaryDirectory() as scratch:
        lab = opened(Sources(data, None), row, Path(scratch)).lab
        found = assessed(lab)
        counted = without_claims(lab, found)
        part = lab.dataset.frame[lab.dataset.frame["split"] == "test"]
        sample, own, others = found.sample, found.features[row.backbone], lab.features(row.backbone, pictures_of(part))
        rows = []
        for strategy, one in found.expectations.candidates.items():
            X, unseen = (f.matrix(one.source.cuts, one.source.pooling) for f in (own, others))
            head = solve_classifier(one.path.kind, X, sample.y, len(sample.classes), one.path.penalty)
            true = (np.array(sample.classes)[head.predict(unseen)] == part["label"].to_numpy()).mean()
            rows.append({
                "row": row.name, "set": row.data, "strategy": strategy, "n": sample.n, "n_test": len(part),
                "confidence": one.path.confidence, "counted": counted[strategy],
                "expected": found.expectations.estimates[strategy].accuracy, "true": true,
            })  # fmt: skip
    return rows


def without_claims(lab: Lab, found: Assessment) -> dict[str, float]:
    """Return what is expected of the frozen strategies by counting alone: probabilities claim what was counted."""
    estimates = found.expectations.estimates
    finalists = tuple(
        replace(one, path=replace(one.path, confidence=one.accuracy - estimates[one.strategy].optimism))
        for one in found.evidence.finalists
    )
    evidence, features = replace(found.evidence, finalists=finalists), found.features[found.evidence.backbone]
    plain = expect(lab, evidence, features, found.sample, found.domain, None)
    return {strategy: estimate.accuracy for strategy, estimate in plain.estimates.items()}


def summarised(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the errors of both ways by strategy and size, in points."""
    said = []
    for strategy, some in rows.groupby("strategy"):
        for name, (least, most) in SIZES.items():
            part = some[(some["n"] >= least) & (some["n"] < most)]
            noise = (part["true"] * (1 - part["true"]) / part["n_test"]).mean()
            line: dict[str, Any] = {"strategy": strategy, "pictures": name, "draws": len(part)}
            for way in ("counted", "expected"):
                error = part[way] - part["true"]
                line |= {f"{way}, too high by": 100 * error.mean()}
                line |= {f"{way}, wrong by": 100 * np.sqrt(max((error**2).mean() - noise, 0.0))}
            said.append(line)
    return pd.DataFrame(said).round(2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cores", type=int, default=1, help="draws at once")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    there = pd.read_csv(arguments.out) if arguments.out.exists() else pd.DataFrame({"row": []})
    due = [row for row in draws() if row.name not in set(there["row"])]
    with ProcessPoolExecutor(arguments.cores, mp_context=get_context("spawn")) as pool:
        for found in pool.map(measured, [arguments.data.resolve()] * len(due), due):
            there = pd.concat([there, pd.DataFrame(found)], ignore_index=True)
            temporary = arguments.out.with_suffix(".tmp")
            there.round(4).to_csv(temporary, index=False)
            temporary.replace(arguments.out)
            print(found[0]["row"], flush=True)
    print(summarised(there).to_string(index=False))


if __name__ == "__main__":
    main()

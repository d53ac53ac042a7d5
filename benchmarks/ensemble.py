"""What the best trained and the best frozen candidate earn together, with which shares.

    python benchmarks/ensemble.py ../shared/data [--keep FOLDER]

Fine-tuning as the search begins it and the best frozen candidate of its sweep are scored on the same pictures, which
neither learned from and none of which is a test picture of `search_table.py` in its first draw. (The sweep chose its
best one by cross-validation on all pictures, these included, which favours it a little.) Those pictures are then split
at random, many times: on a part of the size that a search validates on it is decided (which of the two is right more
often; which shares an ensemble gives them), and the rest judges. Prints accuracy and log loss of each rule and keeps
them in `results/ensemble.csv`. Scores are kept in FOLDER, so an interrupted run goes on there.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import search_table
from draws import Regime, listed

from automl_tl.lab.lab import open_lab
from automl_tl.learning.scores import best_temperature
from automl_tl.model.model import mix
from automl_tl.options import PARTS, SearchOptions
from automl_tl.searcher.delivery.ensemble import _most_probable
from automl_tl.searcher.preparation import prepare
from automl_tl.searcher.run_folder import RunFolder
from automl_tl.searcher.session import Prepared, Session
from automl_tl.searcher.space.limits import Limits
from automl_tl.searcher.space.space_for import space_for
from automl_tl.searcher.trials.deadline import Deadline
from automl_tl.searcher.trials.openings import openings
from automl_tl.searcher.trials.trained import score_trained
from automl_tl.work import ThisProcess

RESULTS = Path(__file__).parent / "results" / "ensemble.csv"
DRAWS = (
    (Regime("clothing", 50, 1), 11),
    (Regime("clothing", 40, 1), 13),
    (Regime("clothing", 20, 1), 12),
    (Regime("sign_digits", 40, 1), 11),
    (Regime("sign_digits", 40, 1), 13),
    (Regime("sign_digits", 20, 1), 12),
    (Regime("omniglot_alphabets", 30, 1), 11),
    (Regime("trashnet", 30, 1), 11),
    (Regime("blood_wbc", 0, 1), 11),
)
VALIDATION = 350
DECIDING, SPLITS = (20, 50, 80, 160), 200
SECONDS = 140.0
"""For trials: decides how many stages the opening trains."""
RULES = ("trained", "frozen", "better", "equal", "mixture")


@dataclass(frozen=True, eq=False)
class Scored:
    """Two candidates' scores (m, C) on pictures of the labels `y` (m,)."""

    trained: np.ndarray
    frozen: np.ndarray
    y: np.ndarray


def pictures(root: Path, regime: Regime, draw: int) -> pd.DataFrame:
    """Return a table of training pictures, and of validation pictures where every class has some to spare."""
    frame = listed(root, regime.data)
    tested: set[str] = set()
    for other in search_table.REGIMES:
        if other.data == regime.data:
            with tempfile.TemporaryDirectory() as folder:
                table = pd.read_csv(search_table.table_of(root, other, Path(folder)), dtype=str)
            tested |= set(table.loc[table["split"] == "test", "path"])
    frame = frame[~frame["path"].astype(str).isin(tested) & (frame["split"] != "test")]
    frame = frame.sample(frac=1, random_state=draw)
    if not regime.per_class:
        return frame.assign(split="train")
    groups = sorted(set(frame["group"]))
    apart = frame["group"].isin(groups[::4]) if len(groups) > 1 else pd.Series(False, frame.index)
    train = frame[~apart].groupby("label").head(regime.per_class)
    rest = frame[apart] if apart.any() else frame.drop(train.index)
    return pd.concat([train.assign(split="train"), rest.head(VALIDATION).assign(split="val")])


def prepared_for(table: Path, options: SearchOptions, out: Path) -> Prepared:
    """Return what a search without a budget would begin its trials with."""
    out.mkdir()
    session = Session(open_lab(table, options), options, RunFolder(out), Deadline(None), Limits())
    return prepare(session, lambda task, name: None)


def score(root: Path, regime: Regime, draw: int) -> Scored:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        frame = pictures(root, regime, draw)
        frame.to_csv(folder / "table.csv", index=False)
        options = SearchOptions(
            trials=1, backbones=(search_table.BACKBONE,), seed=3, cache_dir=folder / "cache",
            group_column="group" if frame["group"].any() else None,
        )  # fmt: skip
        prepared = prepared_for(folder / "table.csv", options, folder / "run")
        task = replace(prepared.task, n_folds=1 if regime.per_class else 2)
        space = space_for(task, prepared.assessment, parts=dict.fromkeys(PARTS, True))
        first = openings(prepared, space, Limits(), SECONDS)
        configuration = next(c for c in first if c.strategy == "fine_tuning")
        reference = prepared.sweep.reference
        trained = score_trained(task, configuration, reference, ThisProcess())
        return Scored(trained.scores, reference.outcome.on(trained.rows), task.y[trained.rows])


def judged(scored: Scored, deciding: int) -> dict[str, float]:
    """Return accuracy and log loss of every rule, and the mixture's share of the trained candidate."""
    rng, y = np.random.default_rng(0), scored.y
    found: list[list[float]] = []
    for _ in range(SPLITS):
        order = rng.permutation(len(y))
        some, rest = order[:deciding], order[deciding:]
        members = [
            mix([scores], [1.0], best_temperature(y[some], scores[some])) for scores in (scored.trained, scored.frozen)
        ]
        likelihoods = np.stack([member[some, y[some]] for member in members])
        shares = {
            "trained": 1.0,
            "frozen": 0.0,
            "equal": 0.5,
            "mixture": float(_most_probable(likelihoods, np.ones(len(some)))[0]),
        }
        right = [(member[some].argmax(1) == y[some]).sum() for member in members]
        shares["better"] = float(right[0] >= right[1])
        row = []
        for rule in RULES:
            mixed = shares[rule] * members[0][rest] + (1 - shares[rule]) * members[1][rest]
            row += [
                float((mixed.argmax(1) == y[rest]).mean()),
                float(-np.log(mixed[np.arange(len(rest)), y[rest]]).mean()),
            ]
        found.append([*row, shares["mixture"]])
    names = [f"{rule} {what}" for rule in RULES for what in ("accuracy", "loss")]
    return dict(zip([*names, "share of trained"], np.mean(found, axis=0), strict=True))


def kept_scores(root: Path, regime: Regime, draw: int, folder: Path) -> Scored:
    file = folder / f"{regime.data}_{regime.per_class}_{draw}.npz"
    if not file.exists():
        print(f"training on {regime.name}, draw {draw}", flush=True)
        scored = score(root, regime, draw)
        np.savez(file, trained=scored.trained, frozen=scored.frozen, y=scored.y)
    with np.load(file) as arrays:
        return Scored(arrays["trained"], arrays["frozen"], arrays["y"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    folder = arguments.keep or Path(tempfile.mkdtemp(prefix="ensemble_"))
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for regime, draw in DRAWS:
        scored = kept_scores(arguments.data, regime, draw, folder)
        rows += [
            {"data": regime.name, "draw": draw, "deciding": deciding, **judged(scored, deciding)}
            for deciding in DECIDING
            if deciding <= len(scored.y) / 2
        ]
    table = pd.DataFrame(rows)
    arguments.out.parent.mkdir(exist_ok=True)
    table.to_csv(arguments.out, index=False, float_format="%.4f")
    print(table.round(3).to_string(index=False))
    gains = table.assign(**{rule: table[f"{rule} accuracy"] - table["better accuracy"] for rule in RULES})
    print("\nAccuracy less that of the one that is better on the deciding pictures:")
    print(gains.groupby("deciding")[list(RULES)].agg(["mean", "min"]).round(4).to_string())


if __name__ == "__main__":
    main()

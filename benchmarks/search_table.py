"""What `search` reaches on real data sets, against simple baselines and against itself without one of its parts.

    python benchmarks/search_table.py ../shared/data [--part main|alone|draws|ablation] [--summary]

Every row is a cell (a data set at so many training pictures per class, a budget, a draw of pictures) and a method. A
method sees the training pictures of a table and is tested once on its test pictures. One line per row is appended to
`results/search.csv` as soon as it is known, with which test pictures were right, so an interrupted run goes on where
it stopped. The part "draws" compares with fine-tuning alone, the closest of them, on further draws: two of them lie in
`results/search_draws.csv`, from when fine-tuning of pictures like ImageNet began with a backbone ten times slower than
its head. The ablation of joined cuts and the enqueued recommendation lies in `results/search_ablation.csv`, by an
earlier engine and with its own searches.

Every search has a feature cache of its own, empty at first. Nothing else should run on the machine.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from draws import Regime, draw, listed

os.environ.setdefault("HF_HUB_OFFLINE", "1")

RESULTS = Path(__file__).parent / "results" / "search.csv"
BACKBONE = "efficientnet_lite0"
REGIMES = (
    Regime("clothing", 10, 1),
    Regime("clothing", 50, 1),
    Regime("sign_digits", 40, 1),
    Regime("blood_wbc", 0, 1),
    Regime("omniglot_alphabets", 50, 1),
)
ALONE = ("clothing at 50", "sign_digits at 40")
BUDGETS = (60.0, 180.0)
STRATEGIES = ("feature_extractor", "early_feature_extractor", "fine_tuning", "pretrained_initialization")
PARTS = ("joined", "augmented", "trained", "enqueued", "ensemble")
FURTHER_DRAWS = (1, 2)
MIRRORED = ("clothing", "blood_wbc")
"""Data sets in which a mirrored picture means the same: whoever fine-tunes by hand would know."""
SEED = 20261124
PLAIN_LR = 3e-4


@dataclass(frozen=True)
class Row:
    regime: Regime
    budget: float
    method: str
    draw: int = 0

    @property
    def key(self) -> tuple[str, float, str, int]:
        return self.regime.name, self.budget, self.method, self.draw


def rows(part: str) -> Iterator[Row]:
    if part in ("main", "all"):
        for budget in BUDGETS:
            yield from (Row(regime, budget, "linear") for regime in REGIMES)
        for budget in BUDGETS:
            yield from (Row(regime, budget, method) for regime in REGIMES for method in ("search", "whole"))
    for regime in (r for r in REGIMES if r.name in ALONE):
        if part in ("alone", "all"):
            yield from (Row(regime, 180.0, f"only {name}") for name in STRATEGIES)
        if part in ("draws", "all"):
            for draw in FURTHER_DRAWS:
                yield from (Row(regime, 180.0, method, draw) for method in ("search", "only fine_tuning"))
        if part in ("ablation", "all"):
            yield from (Row(regime, 180.0, f"without {name}") for name in PARTS)
            yield Row(regime, 180.0, "only feature_extractor without joined")


def table_of(root: Path, regime: Regime, folder: Path, number: int = 0) -> Path:
    rng = np.random.default_rng([SEED + number, zlib.crc32(regime.name.encode())])
    table = folder / "table.csv"
    draw(listed(root, regime.data), regime, rng).to_csv(table, index=False)
    return table


def by_search(table: Path, folder: Path, row: Row) -> tuple[np.ndarray, dict[str, object]]:
    from automl_tl import load, search

    only, without = (re.findall(rf"{word} (\w+)", row.method) for word in ("only", "without"))
    started = time.monotonic()
    result = search(
        table, budget=row.budget, out=folder / "run", group_column="group", backbones=[BACKBONE], seed=1,
        cache_dir=folder / "cache", strategies=only, without=without, started=started, without_set=row.regime.data,
    )  # fmt: skip
    seconds = time.monotonic() - started
    frame = test_frame(table)
    predictions = load(result.bundle).predict(list(frame["path"]))
    right = np.array([p.label == label for p, label in zip(predictions, frame["label"], strict=True)])
    facts = {
        "strategy": result.best.strategy, "what": result.best.describe(), "members": len(result.members),
        "trials": result.n_trials, "predicted": result.predicted[0], "low": result.predicted[1][0],
        "high": result.predicted[1][1], "validation": result.validation.accuracy, "stopped": result.stopped_because,
    }  # fmt: skip
    return right, {"seconds": seconds, **facts}


def test_frame(table: Path) -> pd.DataFrame:
    """Return the test pictures that the search itself tests on, in the order of the table."""
    frame = pd.read_csv(table, dtype=str)
    return frame[frame["split"] == "test"]


def by_hand(table: Path, folder: Path, row: Row) -> tuple[np.ndarray, dict[str, object]]:
    """Return (a) a linear head on the last stage or (b) plain fine-tuning of everything for the budget."""
    import torch

    from automl_tl.augment.policy import AugmentationPolicy
    from automl_tl.data.dataset import open_dataset
    from automl_tl.data.quality import scan
    from automl_tl.data.split import assign_splits
    from automl_tl.features.engine import choose_engine
    from automl_tl.features.extract import Pass, extract
    from automl_tl.features.picture import Picture
    from automl_tl.lab.networks import Networks
    from automl_tl.learning.callbacks import Deadline
    from automl_tl.learning.classifiers import solve_classifier
    from automl_tl.learning.configuration import Configuration
    from automl_tl.learning.heads import l2_grid, solve_path
    from automl_tl.learning.network_head import NetworkHead
    from automl_tl.learning.pixels import load_pixels
    from automl_tl.learning.problem import Problem
    from automl_tl.learning.recipe import Recipe
    from automl_tl.learning.trainer import Material, learned_state, make_cache
    from automl_tl.learning.trainer import train as train_one
    from automl_tl.learning.tunable import Tunable

    started = time.monotonic()
    for kind in ("scan", "features", "timing", "preflight"):
        (folder / "cache" / kind).mkdir(parents=True, exist_ok=True)
    networks = Networks(choose_engine(), folder / "cache")
    scanned, report = scan(open_dataset(table, group_column="group"), cache_dir=networks.cache)
    train = assign_splits(scanned, 1).frame
    train = train[train["split"] == "train"].reset_index(drop=True)
    test = scanned.frame.set_index("path").loc[[str(p) for p in test_frame(table)["path"]]].reset_index()
    both = pd.concat([train, test], ignore_index=True)
    pictures = [Picture(*pair) for pair in both[["path", "sha256"]].itertuples(index=False)]
    classes = sorted(set(train["label"]))
    y = both["label"].map({label: i for i, label in enumerate(classes)}).to_numpy()
    rows_, tests = np.arange(len(train)), np.arange(len(train), len(both))
    network, how = networks.network(BACKBONE), networks.preprocessing(BACKBONE, report.fit)
    if row.method == "linear":
        X = extract(Pass(network, how, networks.engine), pictures, networks.store).matrix((network.n_stages,), "mean")
        folds = rows_ % 5
        np.random.default_rng(1).shuffle(folds)
        grid = l2_grid(len(rows_), X.shape[1])
        path = solve_path("softmax", Problem(X[rows_], y[rows_], folds, len(classes)), grid)
        head = solve_classifier("softmax", X[rows_], y[rows_], len(classes), path.penalty * 0.8)
        return head.predict(X[tests]) == y[tests], {"seconds": time.monotonic() - started, "strategy": "linear"}
    X = extract(Pass(network, how, networks.engine), pictures[:16], networks.store).matrix((network.n_stages,), "mean")
    d, last = X.shape[1], network.n_stages
    policy = AugmentationPolicy(0.5 if row.regime.data in MIRRORED else 0.0, 0.0, 10, (0.9, 1.1), 0.8)
    recipe = Recipe(last, epochs=1000, head_lr=PLAIN_LR, lr_ratio=1.0, batchnorm="adapting", policy=policy)
    whole = Configuration("pretrained_initialization", BACKBONE, last, (last,), "mean", recipe)
    material = Material(
        network, load_pixels(pictures, how, folder), np.zeros((len(y), d), np.float32), y, len(classes),
        networks.engine.for_training, 1, folder,
    )  # fmt: skip
    head = NetworkHead(d, len(classes))  # as one begins by hand: small random weights on the features as they are
    torch.manual_seed(1)
    torch.nn.init.normal_(head.linear.weight, std=0.01)
    torch.nn.init.zeros_(head.linear.bias)
    start = learned_state(whole, Tunable(network, head, make_cache(material, whole)))
    deadline = Deadline(row.budget - (time.monotonic() - started))
    tunable, trained = train_one(material, whole, rows_, 0.0, start=start, callbacks=[deadline])
    right = tunable.scores(tests).argmax(1) == y[tests]
    return right, {"seconds": time.monotonic() - started, "strategy": "whole", "trials": trained.epochs}


def measure(root: Path, row: Row) -> dict[str, object]:
    from automl_tl.learning.trainer import TRAINER_VERSION

    folder = Path(tempfile.mkdtemp(prefix="search_table_"))
    try:
        table = table_of(root, row.regime, folder, row.draw)
        method: Callable[..., tuple[np.ndarray, dict[str, object]]]
        method = by_hand if row.method in ("linear", "whole") else by_search
        right, facts = method(table, folder, row)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    bits = "".join("1" if r else "0" for r in right)
    return {
        "regime": row.regime.name, "budget": row.budget, "method": row.method, "draw": row.draw,
        "accuracy": right.mean(), "n_test": len(right), **facts, "trainer": TRAINER_VERSION, "right": bits,
    }  # fmt: skip


def known(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype={"right": str}) if path.exists() else pd.DataFrame()


def bits(text: str) -> np.ndarray:
    return np.array([c == "1" for c in text])


def difference(ours: np.ndarray, theirs: np.ndarray, rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Return mean, standard error and 90 % bootstrap interval of the paired difference."""
    d = ours.astype(float) - theirs
    means = d[rng.integers(0, len(d), (2000, len(d)))].mean(axis=1)
    low, high = np.quantile(means, [0.05, 0.95])
    return float(d.mean()), float(np.sqrt(d.var() / len(d))), float(low), float(high)


def summary(table: pd.DataFrame) -> str:
    rng = np.random.default_rng(0)
    cell = ["regime", "budget", "draw"]
    shown = table.pivot_table(index=cell, columns="method", values="accuracy", sort=False)
    lines = [shown.round(3).to_string(), ""]
    searched = table[table["method"] == "search"].set_index(cell)
    late = searched["seconds"] - searched.index.get_level_values("budget") * 1.05 - 5
    lines.append(f"deadline kept within 5 % + 5 s: {int((late <= 0).sum())} of {len(late)} searches")
    for method, group in table[table["method"] != "search"].groupby("method", sort=False):
        cells, all_d = [], []
        for one in group.itertuples():
            where = (one.regime, one.budget, one.draw)
            if where not in searched.index:
                continue
            mean, stderr, low, high = difference(bits(searched.loc[where, "right"]), bits(one.right), rng)
            cells.append((*where, mean, stderr, low, high))
            all_d.append(mean)
        if not cells:
            continue
        resampled = [np.mean([rng.normal(c[3], c[4]) for c in cells]) for _ in range(2000)]
        low, high = np.quantile(resampled, [0.05, 0.95])
        lines.append(f"search minus {method}: {np.mean(all_d):+.3f} on average (90 % {low:+.3f} to {high:+.3f})")
        for regime, budget, draw_, mean, stderr, low_, high_ in cells:
            z, name = mean / max(stderr, 1e-9), regime + (f", draw {draw_}" if draw_ else "")
            lines.append(
                f"    {name:26s} {budget:4.0f} s  {mean:+.3f}  (90 % {low_:+.3f} to {high_:+.3f}; {z:+.1f} s.e.)"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--part", choices=("main", "alone", "draws", "ablation", "all"), default="all")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--summary", action="store_true")
    arguments = parser.parse_args()
    if not arguments.summary:
        for row in rows(arguments.part):
            table = known(arguments.out)
            done = set(zip(*(table.get(name, []) for name in ("regime", "budget", "method", "draw")), strict=True))
            if row.key in done:
                continue
            print(*row.key, flush=True)
            table = pd.concat([table, pd.DataFrame([measure(arguments.data, row)])], ignore_index=True)
            arguments.out.parent.mkdir(exist_ok=True)
            table.to_csv(arguments.out.with_suffix(".tmp"), index=False)
            arguments.out.with_suffix(".tmp").replace(arguments.out)
            print(table.iloc[-1][["accuracy", "seconds", "strategy"]].to_dict(), flush=True)
    print(summary(known(arguments.out)))


if __name__ == "__main__":
    main()

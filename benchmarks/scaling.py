"""What columns of features should weigh: the same, as much as they vary, or the root of that (`linear.Scaling`).

    python -m benchmarks.scaling ../shared/data [--draws 0 1]

Ten pictures of every class of ten data sets, EfficientNet-Lite0. Ridge and softmax are solved on several sources, their
penalty chosen by cross-validation, and tested, with their best temperature, on pictures that nothing has seen. On the
sets of the peers' table the last stages are then fine-tuned from either head, equal weights and the root. Where
`measure_scaling` takes the root of the weights that it finds, X s^(2p - 1) comes out with the weights s^p.
Prints tables and writes `results/scaling.csv`; rows that are there are not measured again.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from automl_tl.backbones.stages import Network
from automl_tl.cache_dir import cache_dir
from automl_tl.data.folds import make_folds
from automl_tl.features.engine import choose_engine
from automl_tl.features.extract import statistics
from automl_tl.lab.networks import Networks
from automl_tl.learning.classifiers import solve_classifier
from automl_tl.learning.heads import l2_grid, solve_path
from automl_tl.learning.linear import CONSTANT, LinearHead
from automl_tl.learning.network_head import NetworkHead
from automl_tl.learning.problem import Problem
from automl_tl.learning.scores import PenaltyPath, best_temperature
from automl_tl.learning.screen import ridge_path
from automl_tl.learning.spectrum import decompose
from automl_tl.learning.trainer import Material, Start, learned_state, train
from automl_tl.learning.tunable import copy_network
from benchmarks.bfloat16 import BACKBONE, FOLDS, PER_CLASS, SEED, SETS, Pictures, configured, read
from benchmarks.peers.cells import Cell

RESULTS = Path(__file__).parent / "results" / "scaling.csv"
OTHERS = ("weather", "blood_wbc", "faces_orl", "magnetic_tiles")
"""Sets that nothing was chosen on here."""
POWERS = {"equal": 0.0, "root": 0.5, "own": 1.0}
SOURCES = {
    "last, mean": ((9,), ("mean",)),
    "last, mean+std": ((9,), ("mean", "std")),
    "last four, mean+std": ((6, 7, 8, 9), ("mean", "std")),
    "seventh, mean+std": ((7,), ("mean", "std")),
    "fourth, mean+std": ((4,), ("mean", "std")),
}
BATCH, UNFROZEN = 64, 3


@dataclass(frozen=True, eq=False)
class Begun:
    """What training starts from."""

    network: Network
    head: NetworkHead


@dataclass(frozen=True, eq=False)
class Solved:
    """A classifier at its best penalty."""

    path: PenaltyPath
    head: LinearHead


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--draws", type=int, nargs="+", default=[0, 1])
    asked = parser.parse_args()
    networks = Networks(choose_engine("cpu"), cache_dir(None))
    done = set(pd.read_csv(RESULTS)[["data", "draw"]].itertuples(index=False, name=None)) if RESULTS.exists() else set()
    for cell in (Cell(data, PER_CLASS, draw) for draw in asked.draws for data in (*SETS, *OTHERS)):
        if (cell.data, cell.draw) not in done:
            rows = measured(networks, read(asked.data, cell), tuned=cell.data in SETS)
            add(pd.DataFrame([{"data": cell.data, "draw": cell.draw, **row} for row in rows]))
    print(summary(pd.read_csv(RESULTS)))


def measured(networks: Networks, pictures: Pictures, *, tuned: bool) -> list[dict[str, object]]:
    """Return a row for every source, classifier and weight, and for every start of fine-tuning."""
    network = networks.network(BACKBONE)
    batches = torch.from_numpy(pictures.pixels).split(BATCH)
    parts = [statistics(network, batch, networks.engine) for batch in batches]
    found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    rows = []
    for source, (cuts, poolings) in SOURCES.items():
        X = np.concatenate([found[f"{cut}/{pooling}"] for cut in cuts for pooling in poolings], axis=1)
        rows += [{"source": source, **row} for row in solved_rows(X, pictures)]
    if tuned:
        rows += tuned_rows(networks, network, found[f"{network.n_stages}/mean"], pictures)
    return rows


def weighed(X: np.ndarray, n: int, power: float) -> np.ndarray:
    """Return features whose columns weigh their deviation to a power once they are scaled."""
    return (X * deviations(X[:n]) ** (2 * power - 1)).astype(np.float32)


def deviations(X: np.ndarray) -> np.ndarray:
    """Return the standard deviations of the columns, 1 for constant ones."""
    std, rms = X.std(axis=0, dtype=np.float64), np.sqrt((X.astype(np.float64) ** 2).mean(axis=0))
    return np.where(std > CONSTANT * rms, std, 1.0)


def solve(kind: str, X: np.ndarray, y: np.ndarray) -> Solved:
    spectrum, n_classes = decompose(X), int(y.max()) + 1
    problem = Problem(spectrum, y, make_folds(y, np.arange(len(y)), FOLDS, SEED), n_classes)
    strengths = l2_grid(len(y), round(spectrum.unit))
    path = ridge_path(problem) if kind == "ridge" else solve_path(kind, problem, strengths)
    return Solved(path, solve_classifier(kind, spectrum, y, n_classes, path.penalty))


def solved_rows(X: np.ndarray, pictures: Pictures) -> Iterator[dict[str, object]]:
    n, y = pictures.n, pictures.y
    for weight, power in POWERS.items():
        columns = weighed(X, n, power)
        for kind in ("ridge", "softmax"):
            solved = solve(kind, columns[:n], y[:n])
            probabilities = solved.head.probabilities(columns[n:], best_temperature(y[:n], solved.path.oof))
            yield {"kind": kind, "weight": weight, "cv": solved.path.value, **tested(probabilities, y[n:])}


def tuned_rows(networks: Networks, network: Network, X: np.ndarray, pictures: Pictures) -> Iterator[dict[str, object]]:
    """Yield what is learned from either head."""
    n, y, n_classes = pictures.n, pictures.y, int(pictures.y.max()) + 1
    configuration = configured(pictures, UNFROZEN, network.n_stages)
    std = deviations(X[:n])
    for weight in ("equal", "root"):
        solved = solve("softmax", weighed(X[:n], n, POWERS[weight]), y[:n]).head
        if weight == "equal":  # of X / std: the same scores of X
            solved = replace(solved, center=solved.center * std, scale=solved.scale * std)
        begun = Begun(copy_network(network), NetworkHead.from_linear(solved))
        with tempfile.TemporaryDirectory() as folder:
            engine = networks.engine.for_training
            material = Material(network, pictures.pixels, X, y, n_classes, engine, SEED, Path(folder))
            start = Start(0.0, learned_state(configuration, begun))
            tunable, _ = train(material, configuration, np.arange(n), start)
            scores = torch.from_numpy(tunable.scores(np.arange(n, len(y))))
        yield {
            "source": f"fine-tuning, {UNFROZEN} stages", "kind": "", "weight": weight,
            **tested(scores.softmax(1).numpy(), y[n:]),
        }  # fmt: skip


def tested(probabilities: np.ndarray, y: np.ndarray) -> dict[str, object]:
    own = np.maximum(probabilities[np.arange(len(y)), y], 1e-9)
    return {"accuracy": (probabilities.argmax(1) == y).mean(), "log_loss": -np.log(own).mean(), "n_test": len(y)}


def add(rows: pd.DataFrame) -> None:
    print(rows.pivot_table(index=["data", "draw", "source"], columns=["kind", "weight"], values="accuracy").round(3))
    rows.round(4).to_csv(RESULTS, mode="a", header=not RESULTS.exists(), index=False)


def chosen(table: pd.DataFrame) -> pd.DataFrame:
    """Return the best classifier on a late source, by cross-validation."""
    late = table[table["cv"].notna() & ~table["source"].str.startswith("fourth")]
    ranked = late.sort_values("cv", kind="stable").groupby(["data", "draw", "weight"], as_index=False).tail(1)
    return ranked.assign(source="best late one", kind="")


def summary(table: pd.DataFrame) -> str:
    """Return means, and the root less equal weights with a standard error that is clustered by data set."""
    table = pd.concat([table.fillna({"kind": ""}), chosen(table)])
    by = ["source", "kind"]
    texts = []
    for value in ("accuracy", "log_loss"):
        wide = table.pivot_table(index=[*by, "data", "draw"], columns="weight", values=value)
        by_set = (wide["root"] - wide["equal"]).groupby([*by, "data"]).mean()
        gain, error = by_set.groupby(by).mean(), by_set.groupby(by).sem()
        texts.append(f"{value}\n{wide.groupby(by).mean().assign(gain=gain, stderr=error).round(4).to_string()}")
    return "\n\n".join(texts)


if __name__ == "__main__":
    main()

"""How fast pictures go through a frozen network: each way against eager torch, all measured in turn in one process.

    python benchmarks/frozen_pass.py [--data datasets_meta/demo] [--backbone efficientnet_lite0] [--rounds 4]

Rows are pictures a second, the fastest of the rounds, and their ratio to eager torch from kept pixels. The last row is
what extraction does, decoding overlapped; its goal is 80% of 1 / (decode + forward by OpenVINO). Ratios hold on a busy
machine where the numbers do not. Written to benchmarks/results/frozen_pass.csv.
"""

from __future__ import annotations

import argparse
import csv
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from automl_tl.backbones.registry import get_backbone
from automl_tl.backbones.stages import Network, build_network, normalise
from automl_tl.data.decode import Preprocessing
from automl_tl.features.engine import Engine, RuntimeName, choose_engine
from automl_tl.features.extract import Pass, Picture, batches, compute_shard, statistics
from automl_tl.features.runtimes import fastest_dtype, installed_openvino, prepare
from automl_tl.lab.runtime_choice import choose_runtime

RESULTS = Path(__file__).parent / "results" / "frozen_pass.csv"
BATCH = 32
MANY = 1_000_000
Work = Callable[[], object]


def naive(network: Network, images: torch.Tensor) -> None:
    """One picture after the other, as a first script does it: the last stage's mean alone."""
    with torch.no_grad():
        for image in images.split(1):
            x = normalise(image, network.backbone.mean, network.backbone.std)
            for stage in network.stages:
                x = stage(x)
            x.mean((2, 3))


def decoded(pictures: list[Picture], how: Preprocessing, threads: int) -> torch.Tensor:
    return torch.cat([pixels for _, pixels in batches(pictures, how, BATCH, threads)])


def overlapped(way: Pass, pictures: list[Picture]) -> None:
    compute_shard(way, pictures, report=lambda keys, arrays: None)


def engines(device: Engine) -> dict[str, Engine]:
    """Return every way that can be had here; the eager one first."""
    runtimes: tuple[RuntimeName, ...] = ("eager", "folded", *(("openvino",) if installed_openvino() else ()))
    found = {runtime: Engine("cpu", "float32", runtime) for runtime in runtimes}
    if installed_openvino() and fastest_dtype() != "float32":
        found[f"openvino {fastest_dtype()}"] = Engine("cpu", fastest_dtype(), "openvino")
    return {**found, "chosen": device}


def fastest(works: dict[str, Work], rounds: int) -> dict[str, float]:
    """Return the least seconds of every piece of work, each done once a round in turn, after one to warm up."""
    seconds = dict.fromkeys(works, float("inf"))
    for number in range(rounds + 1):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            if number:
                seconds[name] = min(seconds[name], time.perf_counter() - start)
    return seconds


def table(network: Network, pictures: list[Picture], chosen: Engine, rounds: int) -> list[dict[str, object]]:
    """Return the rows."""
    how, threads = Preprocessing(network.backbone.input_size, "squash", "bicubic"), chosen.threads
    images, ways = decoded(pictures, how, threads), engines(chosen)
    works: dict[str, Work] = {"naive loop": partial(naive, network, images)}
    for name, engine in ways.items():
        prepare(network, engine)
        works[name] = lambda engine=engine: [statistics(network, part, engine) for part in images.split(BATCH)]
    works["decode alone"] = partial(decoded, pictures, how, threads)
    works["decode + chosen, overlapped"] = partial(overlapped, Pass(network, how, chosen), pictures)
    seconds, n = fastest(works, rounds), len(pictures)
    fast = min(seconds[name] for name in ways)
    seconds["goal: 80% of 1 / (decode + fastest forward)"] = (seconds["decode alone"] + fast) / 0.8
    return [
        {"way": name, "pictures/s": round(n / one, 1), "to eager": round(seconds["eager"] / one, 2)}
        for name, one in seconds.items()
    ]


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("datasets_meta/demo"))
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--rounds", type=int, default=4)
    asked = parser.parse_args()
    eager = choose_engine("cpu")
    network = build_network(asked.backbone, get_backbone(asked.backbone))
    files = sorted(file for file in asked.data.rglob("*") if file.suffix in (".jpg", ".png"))[: 2 * BATCH]
    with tempfile.TemporaryDirectory() as folder:
        chosen = choose_runtime(network, eager, MANY, Path(folder))
    print(f"{asked.backbone}, {len(files)} pictures, {torch.get_num_threads()} threads, {os.cpu_count()} cores")
    print(f"chosen: {chosen.name}")
    rows = table(network, [Picture(str(file), file.stem) for file in files], chosen, asked.rounds)
    for row in rows:
        print(f"{row['way']:46}{row['pictures/s']:>8}{row['to eager']:>8}")
    with RESULTS.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()

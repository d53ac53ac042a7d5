"""How fast pictures go through a frozen network: each way against eager torch, all measured in turn in one process.

    python benchmarks/frozen_pass.py [--data datasets_meta/demo] [--backbone efficientnet_lite0] [--rounds 4]

Rows are pictures a second, the fastest of the rounds, their ratio to eager torch from kept pixels, and the milliseconds
of CPU that a picture takes, all threads together. The row "overlapped" is what extraction does; its goal is 80% of
1 / (decode + fastest forward). On a busy machine torch's threads wait for one another, which flatters the others: run
it with OMP_NUM_THREADS=1 as well. Written to benchmarks/results/frozen_pass.csv.
"""

from __future__ import annotations

import argparse
import csv
import math
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
from automl_tl.features.extract import Pass, compute_shard, statistics
from automl_tl.features.picture import Picture
from automl_tl.features.pixels import batches
from automl_tl.features.runtimes import fastest_dtype, installed_openvino, prepare
from automl_tl.lab.runtime_choice import choose_runtime

RESULTS = Path(__file__).parent / "results" / "frozen_pass.csv"
BATCH = 32
N_NAIVE = 8
"""Pictures of the naive loop, which is slow."""
MANY = 1_000_000
Work = Callable[[], object]
Seconds = tuple[float, float]
"""By the clock, and of CPU."""


def naive(network: Network, images: torch.Tensor) -> None:
    """One picture after the other, as a first script does it: the last stage's mean alone."""
    with torch.no_grad():
        for image in images[:N_NAIVE].split(1):
            x = normalise(image, network.backbone.mean, network.backbone.std)
            for stage in network.stages:
                x = stage(x)
            x.mean((2, 3))


def decoded(pictures: list[Picture], how: Preprocessing, threads: int | None) -> torch.Tensor:
    return torch.cat([pixels for _, pixels in batches(pictures, how, BATCH, threads=threads)])


def overlapped(way: Pass, pictures: list[Picture]) -> None:
    compute_shard(way, pictures, report=lambda keys, arrays: None)


def engines(device: Engine) -> dict[str, Engine]:
    """Return every way that can be had here; the eager one first."""
    runtimes: tuple[RuntimeName, ...] = ("eager", "folded", *(("openvino",) if installed_openvino() else ()))
    found = {runtime: Engine("cpu", "float32", runtime) for runtime in runtimes}
    if installed_openvino() and fastest_dtype() != "float32":
        found[f"openvino {fastest_dtype()}"] = Engine("cpu", fastest_dtype(), "openvino")
    return {**found, "chosen": device}


def fastest(works: dict[str, Work], rounds: int) -> dict[str, Seconds]:
    """Return the least seconds of every piece of work, each done once a round in turn, after one to warm up."""
    seconds = dict.fromkeys(works, (math.inf, math.inf))
    for number in range(rounds + 1):
        for name, work in works.items():
            start, cpu = time.perf_counter(), time.process_time()
            work()
            took = time.perf_counter() - start, time.process_time() - cpu
            if number:
                seconds[name] = min(seconds[name][0], took[0]), min(seconds[name][1], took[1])
    return seconds


def table(network: Network, pictures: list[Picture], chosen: Engine, rounds: int) -> list[dict[str, object]]:
    """Return the rows."""
    how, threads = Preprocessing(network.backbone.input_size, "squash", "bicubic"), chosen.workers
    images, ways = decoded(pictures, how, threads), engines(chosen)
    works: dict[str, Work] = {"naive loop": partial(naive, network, images)}
    for name, engine in ways.items():
        prepare(network, engine)
        works[name] = lambda engine=engine: [statistics(network, part, engine) for part in images.split(BATCH)]
    works["decode alone"] = partial(decoded, pictures, how, threads)
    works["decode + chosen, overlapped"] = partial(overlapped, Pass(network, how, chosen), pictures)
    n, seconds = len(pictures), fastest(works, rounds)
    rows = {name: (one / n, cpu / n) for name, (one, cpu) in seconds.items()}
    rows["naive loop"] = seconds["naive loop"][0] / N_NAIVE, seconds["naive loop"][1] / N_NAIVE
    forward, decoding = (tuple(min(rows[name][i] for name in ways) for i in (0, 1)), rows["decode alone"])
    rows["goal: 80% of 1 / (decode + fastest forward)"] = tuple((decoding[i] + forward[i]) / 0.8 for i in (0, 1))
    return [
        {
            "way": name, "pictures/s": round(1 / one, 1), "to eager": round(rows["eager"][0] / one, 2),
            "CPU ms": round(1000 * cpu, 2), "CPU to eager": round(rows["eager"][1] / cpu, 2),
        }
        for name, (one, cpu) in rows.items()
    ]  # fmt: skip


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
    print(" " * 46 + "".join(f"{name:>14}" for name in list(rows[0])[1:]))
    for row in rows:
        print(f"{row['way']:46}" + "".join(f"{value:>14}" for value in list(row.values())[1:]))
    with RESULTS.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()

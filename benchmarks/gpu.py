"""What a GPU does in a second, and where it waits: decoding, features, training steps and a whole search.

    python benchmarks/gpu.py [--device cuda:0] [--backbone efficientnet_lite0] [--out benchmarks/results/gpu.csv]
    python benchmarks/gpu.py --quick --device cpu

Under ten minutes on a GPU; `--quick` is of few pictures and a search of half a minute, to see that it works. Pictures
are generated photos of 640 x 480 pixels, all numbers of one network:

- decode: reading and resizing alone; forward: a batch that lies in memory, the statistics of every stage copied back.
- features: both at once, into an empty store. It should reach 80 % of the slower one alone.
- training step: every stage learns, from pixels in memory, with kornia's variations and without. With them it should
  reach 95 % of what it does without.
- search: `search --budget` from the folder to the finished model.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scale import write_photos

import automl_tl
from automl_tl.augment.policy import AugmentationPolicy
from automl_tl.backbones.registry import get_backbone
from automl_tl.backbones.stages import Network, build_network
from automl_tl.cores import default_threads
from automl_tl.data.decode import Preprocessing
from automl_tl.features.engine import Engine, choose_engine
from automl_tl.features.extract import Pass, extract, statistics
from automl_tl.features.picture import Picture
from automl_tl.features.pixels import PixelStore, batches
from automl_tl.features.store import FeatureStore
from automl_tl.learning.activations import ActivationCache
from automl_tl.learning.finetune import Targets, finetune
from automl_tl.learning.network_head import NetworkHead
from automl_tl.learning.recipe import Recipe
from automl_tl.learning.tunable import Tunable, copy_network

N_CLASSES = 10
VARIED = AugmentationPolicy(hflip=0.5, rotation=15, scale=(0.9, 1.1), crop=0.8, colour=0.2, erase=0.25)
GOALS = {"features of the slower of decode and forward": 0.8, "training step with variations of the bare one": 0.95}
Row = dict[str, object]


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    per_class: int
    passes: int
    """Batches of the forward pass alone."""
    trained: int
    """Pictures that a training run goes round."""
    epochs: int
    budget: float
    """Of the search, seconds."""


FULL = Size(per_class=400, passes=100, trained=1024, epochs=4, budget=120)
QUICK = Size(per_class=6, passes=2, trained=32, epochs=2, budget=30)


@dataclass(frozen=True, eq=False)
class Bench:
    """The pictures, and the network that they go through."""

    folder: Path
    pictures: tuple[Picture, ...]
    way: Pass
    size: Size

    @property
    def network(self) -> Network:
        """Built, on the device."""
        return self.way.network

    @property
    def engine(self) -> Engine:
        """Where it is."""
        return self.way.engine


def prepared(folder: Path, backbone: str, engine: Engine, size: Size) -> Bench:
    files = sorted(write_photos(folder / "photos", N_CLASSES, size.per_class).rglob("*.jpg"))
    pictures = tuple(Picture(str(file), hashlib.sha256(file.read_bytes()).hexdigest()) for file in files)
    plugin = get_backbone(backbone)
    network = build_network(backbone, plugin, device=engine.device)
    how = Preprocessing(plugin.input_size, "squash", getattr(plugin, "interpolation", "bilinear"))
    way = Pass(network, how, engine, pixels=PixelStore(threads=engine.workers))
    return Bench(folder, pictures, way, size)


def decoding(bench: Bench) -> Iterator[Row]:
    def decode() -> None:
        for _ in batches(bench.pictures, bench.way.how, bench.way.at_once, threads=bench.engine.workers):
            pass

    yield row("decode", len(bench.pictures) / seconds(decode), "pictures/s")


def forward(bench: Bench) -> Iterator[Row]:
    images = torch.from_numpy(pixels(bench, bench.way.at_once))

    def run(n: int) -> None:
        for _ in range(n):
            statistics(bench.network, images, bench.engine)

    run(2)
    taken = seconds(lambda: run(bench.size.passes))
    yield row("forward", bench.size.passes * len(images) / taken, "pictures/s")


def features(bench: Bench) -> Iterator[Row]:
    store = FeatureStore(bench.folder / "store")
    taken = seconds(lambda: extract(bench.way, bench.pictures, store))
    yield row("features", len(bench.pictures) / taken, "pictures/s")


def training(bench: Bench) -> Iterator[Row]:
    for name, policy in (("bare", AugmentationPolicy()), ("with variations", VARIED)):
        yield row(f"training step, {name}", training_speed(bench, policy), "pictures/s")


def training_speed(bench: Bench, policy: AugmentationPolicy) -> float:
    """Return pictures per second of the epochs after the first, in which CUDA's libraries choose their ways."""
    network, engine, n = bench.network, bench.engine.for_training, bench.size.trained
    last, y = network.n_stages, np.arange(n) % N_CLASSES
    cache = ActivationCache(
        network, pixels(bench, n), 0, (last,), "mean", policy, engine, seed=0, folder=bench.folder
    )  # fmt: skip
    head = NetworkHead(network.channels[last - 1], N_CLASSES).to(engine.device)
    recipe = Recipe(unfrozen=last, epochs=bench.size.epochs, policy=policy)
    run = finetune(Tunable(copy_network(network), head, cache), Targets(y), np.arange(n), recipe, batch_size=32)
    return n * (run.epochs - 1) / (run.history[-1].seconds - run.history[0].seconds)


def search(bench: Bench) -> Iterator[Row]:
    start = time.perf_counter()
    result = automl_tl.search(
        bench.folder / "photos", budget=bench.size.budget, device=bench.engine.device,
        backbones=[bench.network.name], cache_dir=bench.folder / "cache", out=bench.folder / "run",
    )  # fmt: skip
    yield row("search", time.perf_counter() - start, f"s of {bench.size.budget:g}")
    complete = result.table[result.table["state"] == "complete"]
    yield row("search, finished trials", len(complete), "trials")
    yield row("search, of them trained", int((~complete["strategy"].str.endswith("extractor")).sum()), "trials")


def shares(rows: list[Row]) -> Iterator[Row]:
    """Yield what the goals are about."""
    found = {str(one["what"]): float(str(one["value"])) for one in rows}
    reached = (
        found["features"] / min(found["decode"], found["forward"]),
        found["training step, with variations"] / found["training step, bare"],
    )
    for (what, goal), value in zip(GOALS.items(), reached, strict=True):
        yield row(what, value, f"(goal: {goal:g})")


def pixels(bench: Bench, n: int) -> np.ndarray:
    """Return noise as the network takes it, uint8 (n, S, S, 3)."""
    side = bench.way.how.size
    return np.random.default_rng(0).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def row(what: str, value: float, unit: str) -> Row:
    print(f"{what:50} {value:10.2f} {unit}", flush=True)
    return {"what": what, "value": value, "unit": unit}


def machine(bench: Bench) -> str:
    engine, threads = bench.engine, bench.engine.workers or default_threads()
    name = torch.cuda.get_device_name(engine.device) if engine.kind == "cuda" else platform.processor() or engine.kind
    return (
        f"{name}, {engine.dtype}, batches of {bench.way.at_once}; {os.cpu_count()} cores, {threads} threads, "
        f"torch {torch.__version__}; {bench.network.name}, {len(bench.pictures)} photos"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--budget", type=float, help="seconds of the search")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    engine = choose_engine(asked.device, asked.batch_size, asked.workers)
    size = QUICK if asked.quick else FULL
    size = replace(size, budget=asked.budget or size.budget)
    with tempfile.TemporaryDirectory() as folder:
        bench = prepared(Path(folder), asked.backbone, engine, size)
        print(machine(bench), flush=True)
        parts = (decoding, forward, features, training, search)
        rows = [one for part in parts for one in part(bench)]
        rows += shares(rows)
        if asked.out is not None:
            asked.out.parent.mkdir(parents=True, exist_ok=True)
            pd.DataFrame(rows).assign(machine=machine(bench)).to_csv(asked.out, index=False)


if __name__ == "__main__":
    main()

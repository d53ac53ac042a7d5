"""What an optimiser step costs on a CPU: as torch computes it, and as the trainer does.

    python benchmarks/training_step.py [--backbone efficientnet_lite0] [--weights FILE] [--threads 1 2]

"plain" leaves every BatchNorm to torch and AdamW to its loop over tensors; "folded" is what the trainer does where the
CPU has no bfloat16, "bfloat16" what it does where it has. All train on the same generated pictures, in turns, in one
process: processor time of a step with all that belongs to it
(the last stages read activations that are kept), the smallest of all turns, so that what else runs counts little;
without what is done once a training run. Prints a table, and the milliseconds that passed in each operation, and
writes the backbone's rows into `results/training_step.csv`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import torch
from torch import nn

from automl_tl.augment.policy import AugmentationPolicy
from automl_tl.backbones.stages import Network
from automl_tl.cache_dir import cache_dir
from automl_tl.features.engine import Engine, choose_engine
from automl_tl.lab.networks import Networks, Overrides
from automl_tl.learning import finetune as finetune_module
from automl_tl.learning import optimizer as optimizer_module
from automl_tl.learning.activations import ActivationCache
from automl_tl.learning.fast_stages import FastStages
from automl_tl.learning.finetune import Targets, finetune
from automl_tl.learning.network_head import NetworkHead
from automl_tl.learning.recipe import Recipe
from automl_tl.learning.tunable import Tunable, copy_network

RESULTS = Path(__file__).parent / "results" / "training_step.csv"
POLICY = AugmentationPolicy(hflip=0.5, rotation=10, scale=(0.9, 1.15), crop=0.8)
STEPS, BATCH, N_CLASSES = 3, 16, 5
SHOWN = 12


@contextmanager
def plain() -> Iterator[None]:
    """Let the trainer compute as torch does by itself."""

    def slow(stages: Sequence[nn.Module], engine: Engine, **options: Any) -> FastStages:
        return FastStages((), engine)

    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(finetune_module, "FastStages", slow))
        stack.enter_context(mock.patch.object(optimizer_module, "adamw", lambda groups, _: torch.optim.AdamW(groups)))
        yield


@contextmanager
def folded() -> Iterator[None]:
    """Let stages that learn compute in float32."""

    def single(stages: Sequence[nn.Module], engine: Engine, **options: Any) -> FastStages:
        return FastStages(stages, replace(engine, learning=None), **options)

    with mock.patch.object(finetune_module, "FastStages", single):
        yield


WAYS: dict[str, Callable[[], AbstractContextManager[None]]] = {
    "plain": plain, "folded": folded, "bfloat16": nullcontext,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--weights", type=Path, help="a local weights file of the backbone")
    parser.add_argument("--threads", type=int, nargs="+", default=[torch.get_num_threads()])
    parser.add_argument("--turns", type=int, default=5)
    arguments = parser.parse_args()
    weights = {arguments.backbone: arguments.weights} if arguments.weights else {}
    networks = Networks(choose_engine(), cache_dir(None), Overrides(weights))
    network, records = networks.network(arguments.backbone), []
    for threads in arguments.threads:
        torch.set_num_threads(threads)
        for unfrozen in (2, 3, network.n_stages):
            with tempfile.TemporaryDirectory() as folder:
                train = trained(network, unfrozen, networks, Path(folder))
                seconds = in_turns(train, arguments.turns)
                if unfrozen != 2:
                    print(shares(train).to_string(), "\n")
            records.append({"backbone": network.name, "threads": threads, "stages that learn": unfrozen, **seconds})
    table = pd.DataFrame(records)
    for way in list(WAYS)[1:]:
        table[f"plain / {way}"] = table["plain"] / table[way]
    print(table.round(3).to_string(index=False))
    write(table)


def trained(network: Network, unfrozen: int, networks: Networks, folder: Path) -> Callable[[], None]:
    """Return a function that trains `STEPS` steps of the last stages."""
    n, side, last = STEPS * BATCH, network.backbone.input_size, network.n_stages
    pixels = np.random.default_rng(0).integers(0, 256, (n, side, side, 3), dtype=np.uint8)
    copy, engine = copy_network(network), networks.engine.for_training
    cache = ActivationCache(copy, pixels, last - unfrozen, (last,), "mean", POLICY, engine, 0, folder, n_variants=1)
    tunable = Tunable(copy, NetworkHead(network.channels[-1], N_CLASSES), cache)
    recipe = Recipe(unfrozen, epochs=1, head_lr=1e-6)

    def train() -> None:
        finetune(tunable, Targets(np.arange(n) % N_CLASSES), np.arange(n), recipe, batch_size=BATCH)

    return train


def in_turns(train: Callable[[], None], turns: int) -> dict[str, float]:
    """Return the processor seconds of a step, by way."""
    train()  # fills what is kept
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(turns):
        for way, computing in WAYS.items():
            with computing():
                seconds[way].append(processor_seconds(train))
    return {way: min(values) / STEPS for way, values in seconds.items()}


def processor_seconds(work: Callable[[], None]) -> float:
    """Return what all threads of this process took, without what is done once a training run."""
    once: list[float] = []
    begin = FastStages._decide

    def timed(*arguments: Any) -> None:
        started = time.process_time()
        begin(*arguments)
        once.append(time.process_time() - started)

    with mock.patch.object(FastStages, "_decide", timed):
        start = time.process_time()
        work()
        return time.process_time() - start - sum(once)


def shares(train: Callable[[], None]) -> pd.DataFrame:
    """Return the milliseconds of a step by operation, the longest ones."""
    found = {}
    for way, computing in WAYS.items():
        with computing():
            found[way] = operations(train)
    return pd.DataFrame(found).fillna(0.0).sort_values("plain", ascending=False).head(SHOWN).round(1)


def operations(train: Callable[[], None]) -> dict[str, float]:
    """Return the milliseconds of a step that each operation took itself."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        train()
    return {row.key: row.self_cpu_time_total / 1e3 / STEPS for row in profile.key_averages()}


def write(table: pd.DataFrame) -> None:
    """Write the rows of a backbone beside those of others."""
    if RESULTS.exists():
        others = pd.read_csv(RESULTS)
        table = pd.concat([others[~others["backbone"].isin(table["backbone"])], table])
    RESULTS.parent.mkdir(exist_ok=True)
    table.round(4).to_csv(RESULTS, index=False)


if __name__ == "__main__":
    main()

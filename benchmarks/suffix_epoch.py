"""What an epoch of fine-tuning the last stages costs on cached activations, against an epoch of the whole network.

    python benchmarks/suffix_epoch.py [--pictures 160] [--backbone efficientnet_lite0]

Every epoch trains on the same generated pictures. "first" is an epoch in a view that has not been seen, in which the
frozen prefix is run as well; "cached" one in a view whose activations are kept; "amortised" ten epochs over four views.
Ratios are from one run on one machine. Prints a table and writes `results/suffix_epoch.csv`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from automl_tl.augment.policy import AugmentationPolicy
from automl_tl.cache_dir import cache_dir
from automl_tl.features.engine import choose_engine
from automl_tl.lab.networks import Networks
from automl_tl.learning.activations import ActivationCache
from automl_tl.learning.finetune import Targets, finetune
from automl_tl.learning.network_head import NetworkHead
from automl_tl.learning.recipe import Recipe
from automl_tl.learning.tunable import Tunable, copy_network

RESULTS = Path(__file__).parent / "results" / "suffix_epoch.csv"
POLICY = AugmentationPolicy(hflip=0.5, rotation=10, scale=(0.9, 1.15), crop=0.8)
EPOCHS, VARIANTS = 10, 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=160)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    arguments = parser.parse_args()
    networks = Networks(choose_engine(), cache_dir(None))
    network = networks.network(arguments.backbone)
    side, n, last = network.backbone.input_size, arguments.pictures, network.n_stages
    pixels = np.random.default_rng(0).integers(0, 256, (n, side, side, 3), dtype=np.uint8)
    y, rows = np.arange(n) % 5, np.arange(n)
    records = []
    for unfrozen in (2, 3, last):
        with tempfile.TemporaryDirectory() as folder:
            copy, engine = copy_network(network), networks.engine.for_training
            cache = ActivationCache(
                copy, pixels, last - unfrozen, (last,), "mean", POLICY, engine, 0, Path(folder), n_variants=1
            )
            tunable = Tunable(copy, NetworkHead(network.channels[-1], 5), cache)
            seconds = []
            for _ in range(3):  # the first fills the variant
                start = time.perf_counter()
                finetune(tunable, Targets(y), rows, Recipe(unfrozen, epochs=1), batch_size=32)
                seconds.append(time.perf_counter() - start)
        first, cached = seconds[0], min(seconds[1:])
        amortised = cached if unfrozen == last else (VARIANTS * first + (EPOCHS - VARIANTS) * cached) / EPOCHS
        records.append({"stages that learn": unfrozen, "first": first, "cached": cached, "amortised": amortised})
    table = pd.DataFrame(records)
    whole = table["cached"].iloc[-1]
    for name in ("first", "cached", "amortised"):
        table[f"{name} / whole"] = table[name] / whole
    print(table.round(3).to_string(index=False))
    RESULTS.parent.mkdir(exist_ok=True)
    table.to_csv(RESULTS, index=False)


if __name__ == "__main__":
    main()

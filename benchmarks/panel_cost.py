"""What training took in the panel, in units that do not depend on the machine: optimiser steps and multiply-adds."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from automl_tl.cache_dir import cache_dir
from automl_tl.features.engine import choose_engine
from automl_tl.lab.networks import Networks, Overrides
from automl_tl.learning.recipe import batch_size_for

TRAINED = ("fine_tuning", "pretrained_initialization")
BACKWARD = 2
"""Multiply-adds of the gradients, of inputs and of weights, in forward passes."""


def with_operations(rows: pd.DataFrame, weights: dict[str, Path]) -> pd.DataFrame:
    """Return the panel with the columns `steps_` and `gmacs_` of the strategies that train the ConvNet.

    A picture of an epoch goes forward and back through the stages that learn; what is frozen before them is passed once
    for every variant, one an epoch.
    """
    rows = rows.copy()
    for strategy in TRAINED:
        epochs = rows[f"pictures_{strategy}"] / rows["n_train"]
        batches = [math.ceil(n / batch_size_for(int(n))) for n in rows["n_train"]]
        rows[f"steps_{strategy}"] = (epochs * batches).round().astype("Int64")
        rows[f"gmacs_{strategy}"] = [
            _gmacs(name, weights.get(name), stages) * pictures
            for name, stages, pictures in zip(
                rows["backbone"], rows[f"stages_{strategy}"], rows[f"pictures_{strategy}"], strict=True
            )
        ]
    return rows


def _gmacs(name: str, weights: Path | None, stages: float) -> float:
    """Return the multiply-adds that one picture costs in one epoch where the last `stages` learn, in billions."""
    if np.isnan(stages):
        return math.nan
    each = multiply_adds(name, weights)
    learning = sum(each[len(each) - int(stages) :])
    return (sum(each) + BACKWARD * learning) / 1e9


@cache
def multiply_adds(name: str, weights: Path | None) -> tuple[int, ...]:
    """Return the multiply-adds of each stage of a backbone for one picture, forward."""
    overrides = Overrides(weights={} if weights is None else {name: weights})
    network = Networks(choose_engine("cpu"), cache_dir(None), overrides).network(name)
    size, found = network.backbone.input_size, []
    x = torch.zeros(1, 3, size, size)
    with torch.inference_mode():
        for stage in network.stages:
            with FlopCounterMode(display=False) as counter:
                x = stage(x)
            found.append(counter.get_total_flops() // 2)
    return tuple(found)

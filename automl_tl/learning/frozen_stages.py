"""The first stages of a network, which do not learn, run by whoever is fast, with equal results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from automl_tl.backbones.stages import Network, pool_stage
from automl_tl.errors import EngineError
from automl_tl.features.engine import Engine, RuntimeName
from automl_tl.features.runtimes import OpenVinoGraph, folded

WORTH_COMPILING = 1000
"""Pictures that go through the stages, from which on OpenVINO runs them: making its graph takes 2 s, which it saves on
400 to 2,000 pictures of EfficientNet-Lite0."""
FASTER = 0.8
"""Seconds of OpenVINO over those of torch with folded BatchNorms on EfficientNet-Lite0, in float32: .8 on a CPU with
AVX-512, .27 on another one."""
_KEPT = 4
"""Graphs: of the boundaries that trials choose by turns."""
_BATCH = 16
"""Pictures of a graph, as many as of a training step."""

Run = Callable[[Tensor], list[Tensor]]
"""From normalised pixels (m, 3, S, S) to the last frozen stage's output, as its layout says, and a matrix (m, d) of
columns for each cut, all float32."""


def is_compiled(runtime: RuntimeName, n_pictures: int) -> bool:
    """Return whether OpenVINO runs the frozen stages for so many pictures, each of their variants counted.

    Args:
        runtime: of the engine for training.
        n_pictures: that will go through them.
    """
    return runtime == "openvino" and n_pictures >= WORTH_COMPILING


def frozen_stages(network: Network, k: int, cuts: Sequence[int], pooling: str, engine: Engine, n_pictures: int) -> Run:
    """Return what runs the first `k` stages in eval mode.

    Args:
        network: its stages must not change.
        k: 1 or more.
        cuts: stages among them that the head reads, ascending.
        pooling: of POOLINGS, how they are pooled.
        engine: for training.
        n_pictures: that will go through them, each of their variants counted.
    """
    if is_compiled(engine.runtime, n_pictures):
        with suppress(EngineError):  # a network that OpenVINO cannot run is torch's
            return _by_openvino(network, k, tuple(cuts), pooling, torch.get_num_threads())
    return _by_torch(_Pooling(network, fast_frozen(network, k, engine), cuts, pooling), engine)


def fast_frozen(network: Network, k: int, engine: Engine) -> tuple[nn.Module, ...]:
    """Return the first `k` stages as torch runs them fastest where they do not learn.

    On a CPU in float32 these are copies with their BatchNorms folded, where that computes the same.
    """
    stages = network.stages[:k]
    if not stages or engine.kind != "cpu" or engine.dtype != "float32":
        return stages
    try:
        return folded(replace(network, stages=stages)).stages
    except EngineError:
        return stages


class _Pooling(nn.Module):
    """Stages, and how some of them are pooled; a graph can be traced from it."""

    def __init__(self, network: Network, stages: Sequence[nn.Module], cuts: Sequence[int], pooling: str) -> None:
        super().__init__()
        self.network, self.stages = network, nn.ModuleList(stages)
        self.cuts, self.pooling = tuple(cuts), pooling

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        pooled = []
        for number, stage in enumerate(self.stages, 1):
            x = stage(x)
            if number in self.cuts:
                pooled.append(pool_stage(self.network, x, number, self.pooling).columns(self.pooling))
        return x.float(), *pooled


def _by_torch(stages: _Pooling, engine: Engine) -> Run:
    def run(x: Tensor) -> list[Tensor]:
        with torch.no_grad(), engine.autocast():
            return list(stages(x))

    return run


@lru_cache(_KEPT)
def _by_openvino(network: Network, k: int, cuts: tuple[int, ...], pooling: str, threads: int) -> Run:
    side = network.backbone.input_size
    stages = _Pooling(network, network.stages[:k], cuts, pooling).eval()
    graph = OpenVinoGraph(stages, [(side, side)], "float32", network.name, batch=_BATCH)

    def run(x: Tensor) -> list[Tensor]:
        return [_as_map(values) for values in graph([x])]

    return run


def _as_map(values: np.ndarray) -> Tensor:
    found = torch.from_numpy(values)
    return found.contiguous(memory_format=torch.channels_last) if found.ndim == 4 else found

"""Which runtime has the features of so many pictures soonest, measured once per backbone and machine, and kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from automl_tl.backbones.stages import Network
from automl_tl.errors import AutomlTlError
from automl_tl.features.engine import Engine
from automl_tl.features.extract import statistics
from automl_tl.features.memo import remember
from automl_tl.features.runtimes import fastest_dtype, installed_openvino
from automl_tl.lab.timing import forward_batch, forward_seconds, machine

WORTH_CHOOSING = 20.0
"""Seconds that eager torch needs for all pictures, from which on others are prepared and timed. That takes some 8 s, of
which an engine that is twice as fast saves 10 (`benchmarks/frozen_pass.py`)."""
FEW = 500
"""Pictures below which nothing is measured: timing eager torch alone takes as long as 64 of them."""
TOLERANCE = 0.98
"""Least cosine between a picture's statistics and eager torch's in float32, at any stage, on noise, which is hard."""
_N = 8


class _UnknownError(Exception):
    """Nothing was measured, and nothing is to be."""


def choose_runtime(network: Network, engine: Engine, n_pictures: int, folder: Path, *, hurried: bool = False) -> Engine:
    """Return `engine`, or one on the same device that is faster, with equal features.

    The same number of pictures has the same answer while what was measured is kept, so that a command that is run
    twice finds its features.

    Args:
        network: built, in eval mode.
        engine: eager torch.
        n_pictures: whose features may be asked for.
        folder: where measured speeds are kept.
        hurried: whether nothing is measured: without a choice that is known already, eager torch it is.
    """
    if engine.device != "cpu" or n_pictures < FEW:
        return engine
    if n_pictures * forward_seconds(network, engine, folder) < WORTH_CHOOSING:
        return engine
    timed = [forward_batch(network, one) for one in (engine, *_others(engine))]
    key = {**machine(network, engine), "what": "runtime", "openvino": installed_openvino(), "at once": timed}

    def fastest() -> dict[str, str]:
        if hurried:
            raise _UnknownError
        found = _fastest(network, engine, folder)
        return {"runtime": found.runtime, "dtype": found.dtype}

    try:
        return remember(folder, key, fastest, lambda kept: replace(engine, **kept))
    except _UnknownError:
        return engine


def _fastest(network: Network, engine: Engine, folder: Path) -> Engine:
    seconds = {engine: forward_seconds(network, engine, folder)}
    for other in _others(engine):
        with suppress(AutomlTlError):  # what cannot run this network is not chosen
            if agreement(network, other) >= TOLERANCE:
                seconds[other] = forward_seconds(network, other, folder)
    return min(seconds, key=seconds.__getitem__)


def _others(engine: Engine) -> Iterator[Engine]:
    yield replace(engine, runtime="folded")
    if installed_openvino():
        yield replace(engine, runtime="openvino", dtype=fastest_dtype())


def agreement(network: Network, engine: Engine) -> float:
    """Return the least cosine between the statistics of a picture and those of eager torch in float32, over noise.

    Raises:
        EngineError: the engine cannot run this network.
    """
    side = network.backbone.input_size
    noise = torch.randint(0, 256, (_N, side, side, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    exact, other = statistics(network, noise, Engine(engine.device, "float32")), statistics(network, noise, engine)
    return min(float(_cosines(exact[name], other[name]).min()) for name in exact)


def _cosines(a: np.ndarray, b: np.ndarray) -> Any:
    return (a * b).sum(1) / np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-12)

"""What every runtime can do, and which one an engine names."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Protocol

from torch import Tensor

from automl_tl.backbones.stages import Network
from automl_tl.features.engine import Engine
from automl_tl.features.runtimes.folded import Folded
from automl_tl.features.runtimes.openvino import OpenVino
from automl_tl.features.runtimes.pooled_stages import PooledStages

_KEPT = 3
"""Prepared networks, as many as `Networks` keeps built."""


class Runtime(Protocol):
    """A frozen network, ready to run; it may be called in several threads."""

    def __call__(self, inputs: Tensor) -> Mapping[str, Tensor]:
        """Return float32 (N, d) by names like "3/mean" of `inputs`, normalised float32 (N, 3, S, S)."""


def prepare(network: Network, engine: Engine) -> Runtime:
    """Return the runtime that `engine` names for a network, prepared once.

    Raises:
        EngineError: it is not installed, or cannot run this network.
    """
    return PooledStages(network) if engine.runtime == "eager" else _prepared(network, engine)


@lru_cache(_KEPT)
def _prepared(network: Network, engine: Engine) -> Runtime:
    return Folded(network) if engine.runtime == "folded" else OpenVino(network, engine.dtype)

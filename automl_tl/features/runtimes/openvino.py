"""OpenVINO, where it is installed: one graph from pictures to the statistics of every stage, for the CPU."""

from __future__ import annotations

import sys
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import Tensor

from automl_tl.backbones.stages import Network
from automl_tl.errors import EngineError
from automl_tl.features.runtimes.pooled_stages import PooledStages

_BATCH = 32
"""Pictures of the graph: with any number of them it takes five times as long to make, and runs slower."""
_HINTS = {"bfloat16": "bf16", "float32": "f32"}


def installed_openvino() -> str:
    """Return its version, or nothing where it is not installed; imports nothing."""
    return metadata.version("openvino") if find_spec("openvino") is not None else ""


@cache
def fastest_dtype() -> str:
    """Return the torch name of the number format in which OpenVINO is fastest on this CPU."""
    capabilities = _openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "bfloat16" if "BF16" in capabilities else "float32"


class OpenVino:
    """A network compiled by OpenVINO.

    Args:
        network: built, in eval mode, on the CPU.
        dtype: "bfloat16" or "float32", of the inner arithmetic; statistics are float32 always.

    Raises:
        EngineError: it is not installed, or the network cannot be made a graph that it knows.
    """

    def __init__(self, network: Network, dtype: str) -> None:
        if not installed_openvino():
            raise EngineError("OpenVINO is not installed: pip install 'automl-tl[openvino]'")
        try:
            self._names, self._compiled = _compiled(network, dtype)
        except Exception as error:  # of an exporter or a compiler: anything
            raise EngineError(f"OpenVINO cannot run {network.name}: {type(error).__name__}: {error}") from error
        self._lock = Lock()  # one request, which takes all cores

    def __call__(self, inputs: Tensor) -> dict[str, Tensor]:
        """See `Runtime`; a batch that is not full is filled up."""
        parts = [self._run(part.contiguous().numpy()) for part in torch.split(inputs, _BATCH)]
        return {name: torch.from_numpy(np.concatenate([p[i] for p in parts])) for i, name in enumerate(self._names)}

    def _run(self, inputs: np.ndarray) -> list[np.ndarray]:
        n = len(inputs)
        full = inputs if n == _BATCH else np.concatenate([inputs, np.zeros((_BATCH - n, *inputs.shape[1:]), "f4")])
        with self._lock:
            found = self._compiled(full, share_inputs=True)
        return [values[:n] for values in found.to_tuple()]


def _compiled(network: Network, dtype: str) -> tuple[tuple[str, ...], Any]:
    """Return the names of the graph's outputs, and the graph."""
    openvino, stages, side = _openvino(), PooledStages(network), network.backbone.input_size
    inputs = torch.zeros(_BATCH, 3, side, side)
    with torch.no_grad():
        names = tuple(stages(inputs[:1]))
        program = torch.export.export(stages, (inputs,))
    hints = {
        "INFERENCE_PRECISION_HINT": _HINTS[dtype],
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
    }
    return names, openvino.Core().compile_model(openvino.convert_model(program), "CPU", hints)


def _openvino() -> Any:
    """Import OpenVINO without its telemetry, which reports every import and every conversion to its makers."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino

"""OpenVINO, where it is installed: one graph from pictures to what a module says of them, for the CPU."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

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


class OpenVinoGraph:
    """A module compiled by OpenVINO for pictures of given sizes.

    Args:
        module: in eval mode, on the CPU; takes float32 (N, 3, H, W) for each size and returns tensors (N, ...).
        sizes: (H, W) of each input.
        dtype: "bfloat16" or "float32", of the inner arithmetic.
        name: of the network, for errors.

    Raises:
        EngineError: it is not installed, or the module cannot be made a graph that it knows.
    """

    def __init__(self, module: nn.Module, sizes: Sequence[tuple[int, int]], dtype: str, name: str) -> None:
        if not installed_openvino():
            raise EngineError("OpenVINO is not installed: pip install 'automl-tl[openvino]'")
        try:
            self._compiled = _compiled(module, sizes, dtype)
        except Exception as error:  # of an exporter or a compiler: anything
            raise EngineError(f"OpenVINO cannot run {name}: {type(error).__name__}: {error}") from error
        self._lock = Lock()  # one request, which takes all cores

    def __call__(self, inputs: Sequence[Tensor]) -> list[np.ndarray]:
        """Return the module's outputs of N pictures, in its order; a batch that is not full is filled up."""
        batches = zip(*(torch.split(values, _BATCH) for values in inputs), strict=True)
        parts = [self._run([part.contiguous().numpy() for part in batch]) for batch in batches]
        return [np.concatenate(values) for values in zip(*parts, strict=True)]

    def _run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        n = len(inputs[0])
        full = [np.concatenate([x, np.zeros((_BATCH - n, *x.shape[1:]), "f4")]) if n < _BATCH else x for x in inputs]
        with self._lock:
            found = self._compiled(full, share_inputs=True)
        return [values[:n] for values in found.to_tuple()]


class OpenVino:
    """A network compiled by OpenVINO.

    Args:
        network: built, in eval mode, on the CPU.
        dtype: "bfloat16" or "float32", of the inner arithmetic; statistics are float32 always.

    Raises:
        EngineError: it is not installed, or the network cannot be made a graph that it knows.
    """

    def __init__(self, network: Network, dtype: str) -> None:
        stages, side = PooledStages(network), network.backbone.input_size
        with torch.no_grad():
            self._names = tuple(stages(torch.zeros(1, 3, side, side)))
        self._graph = OpenVinoGraph(stages, [(side, side)], dtype, network.name)

    def __call__(self, inputs: Tensor) -> dict[str, Tensor]:
        """See `Runtime`."""
        return {name: torch.from_numpy(found) for name, found in zip(self._names, self._graph([inputs]), strict=True)}


def _compiled(module: nn.Module, sizes: Sequence[tuple[int, int]], dtype: str) -> Any:
    openvino, inputs = _openvino(), tuple(torch.zeros(_BATCH, 3, *size) for size in sizes)
    with torch.no_grad():
        program = torch.export.export(module, inputs)
    hints = {
        "INFERENCE_PRECISION_HINT": _HINTS[dtype],
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
    }
    return openvino.Core().compile_model(openvino.convert_model(program), "CPU", hints)


def _openvino() -> Any:
    """Import OpenVINO without its telemetry, which reports every import and every conversion to its makers."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino

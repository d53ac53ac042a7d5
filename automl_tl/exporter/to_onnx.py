"""ONNX: one graph with everything from uint8 pictures to probabilities, for ONNX Runtime and its kin."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from automl_tl.backbones.plugins import said
from automl_tl.exporter.errors import ExportError
from automl_tl.exporter.format import Runner
from automl_tl.exporter.metadata import metadata
from automl_tl.exporter.trace import DIMENSIONS, trace
from automl_tl.model.model import Model

NEEDED = ("onnx", "onnxruntime", "onnxscript")
INPUT, OUTPUT = "pictures", "probabilities"
OPSET = 20
MOST_BYTES = 2**31 - 2**20
"""Of weights: a file in protobuf's format holds 2 GiB."""


def check_installed() -> None:
    """Raise ExportError where one of the packages is missing that write and run ONNX."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ExportError(f"ONNX needs an extra ({' and '.join(missing)} missing): pip install 'automl-tl[onnx]'")


def write(model: Model, file: Path) -> None:
    """Write the graph with its `metadata`; batch, height and width are free.

    Raises:
        ExportError: An extra is not installed, or the model has no such form.
    """
    check_installed()
    program = trace(model)
    n_bytes = sum(tensor.nbytes for tensor in program.state_dict.values())
    if n_bytes > MOST_BYTES:
        raise ExportError(
            f"An ONNX file holds 2 GiB, but the weights take {n_bytes / 2**30:.1f} GiB: use --format torch"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter, about its own parts
            graph: Any = torch.onnx.export(
                program,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=(dict(enumerate(DIMENSIONS)),),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # the exporter raises dozens of kinds
        raise ExportError(f"The model has no form in ONNX: the exporter raised {said(error)[:300]}") from error
    graph.model.metadata_props.update(metadata(model))
    file.write_bytes(graph.model_proto.SerializeToString())  # `save` lays more than 1.5 GiB in a second file


def load(file: Path) -> Runner:
    """Return what runs the file in ONNX Runtime: uint8 (N, H, W, 3) to probabilities (N, C)."""
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])

    def run(pictures: np.ndarray) -> np.ndarray:
        return np.asarray(session.run([OUTPUT], {INPUT: pictures})[0])

    return run

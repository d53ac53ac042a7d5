"""A model as torch.export's program: what the formats ONNX and torch are made of."""

from __future__ import annotations

import torch
from torch.export import Dim, ExportedProgram

from automl_tl.backbones.plugins import said
from automl_tl.exporter.errors import ExportError
from automl_tl.model.model import Model

DIMENSIONS = ("batch", "height", "width")
"""Of the pictures, free in the program."""
_EXAMPLE = (2, 40, 50, 3)  # no two sides alike, none 1: a trace would take them for the same, or for constants


def trace(model: Model) -> ExportedProgram:
    """Return the program of a model on the CPU: uint8 pictures (N, H, W, 3), any N, H and W, to probabilities (N, C).

    Raises:
        ExportError: A backbone does what cannot be traced.
    """
    free = {number: Dim(name) for number, name in enumerate(DIMENSIONS)}
    example = torch.zeros(_EXAMPLE, dtype=torch.uint8)
    try:
        with torch.no_grad():
            return torch.export.export(model.module(), (example,), dynamic_shapes=(free,))
    except Exception as error:  # whatever a plugin's code does under the trace
        names = " and ".join(dict.fromkeys(member.network.name for member in model.members))
        raise ExportError(f"{names} cannot be exported: torch.export raised {said(error)[:300]}") from error

"""torch.export's program: runs wherever torch does, without automl-tl and without a backbone's plugin."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from automl_tl.exporter.format import Runner
from automl_tl.exporter.metadata import metadata
from automl_tl.exporter.trace import trace
from automl_tl.model.model import Model

METADATA = "automl_tl.json"
"""Among the extra files of the archive."""


def write(model: Model, file: Path) -> None:
    """Write the program, its `metadata` beside it in the archive.

    Raises:
        ExportError: It cannot be traced.
    """
    torch.export.save(trace(model), file, extra_files={METADATA: json.dumps(metadata(model))})


def load(file: Path) -> Runner:
    """Return what runs the file: uint8 (N, H, W, 3) to probabilities (N, C)."""
    program = torch.export.load(file).module()

    def run(pictures: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            found: np.ndarray = program(torch.from_numpy(pictures)).numpy()
        return found

    return run

"""What every format provides: a way to write a model, and a way to run what was written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from automl_tl.model.model import Model

Runner = Callable[[np.ndarray], np.ndarray]
"""uint8 pictures (N, H, W, 3) to probabilities (N, C)."""


@dataclass(frozen=True)
class Format:
    """One of the formats."""

    suffix: str
    """That its readers ask for."""
    write: Callable[[Model, Path], None]
    load: Callable[[Path], Runner]
    resizes: bool
    """Whether the file takes pictures of any size, or those alone that are prepared already."""

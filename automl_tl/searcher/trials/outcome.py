"""What a candidate came to on the pictures that it did not learn from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from automl_tl.learning.configuration import Configuration
from automl_tl.learning.trainer import TRAINER_VERSION
from automl_tl.monitor import Epoch


@dataclass(frozen=True, eq=False)
class Outcome:
    """A candidate with its out-of-fold scores."""

    configuration: Configuration
    value: float
    """The metric, estimated for all pictures: see `reference.estimated`."""
    rows: np.ndarray
    """int (m,), the pictures that it was scored on."""
    scores: np.ndarray
    """float32 (m, C)."""
    seconds: float
    epochs: int = 0
    n_folds: int = 0
    state: Mapping[str, Tensor] = field(default_factory=dict)
    """Of a trained candidate, what was learned without fold 0."""
    history: tuple[Epoch, ...] = ()
    """Of a trained candidate, the epochs of its first fold."""
    trainer: int = TRAINER_VERSION
    """TRAINER_VERSION of whoever trained it."""
    number: int = -1
    """Of its trial in the study; -1 before it has one."""
    sample: str = ""
    """`Task.digest` of the pictures that its rows number."""
    drawn: bool = False
    """Whether the sampler has chosen some of its configuration; else the search did, by what is known."""
    merit: float = math.nan
    """Of a frozen candidate, what it is worth in a choice among such (`frozen.with_merit`); NaN of a trained one."""

    @property
    def predictions(self) -> np.ndarray:
        """int (m,), the class of the highest score."""
        best: np.ndarray = self.scores.argmax(axis=1)
        return best

    def on(self, rows: np.ndarray) -> np.ndarray:
        """Return the scores of some of its rows, float32 (k, C), in their order."""
        order = np.argsort(self.rows)
        return self.scores[order[np.searchsorted(self.rows, rows, sorter=order)]]

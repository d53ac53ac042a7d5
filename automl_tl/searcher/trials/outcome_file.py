"""An outcome on the disk: a safetensors file of its rows, scores and weights, with its facts as JSON in the header.

A run folder may come from elsewhere, so what is read is checked; no name in it is ever a path.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load

from automl_tl.foreign import facts_of, is_a, listed, number, whole_number
from automl_tl.learning.configuration import Configuration
from automl_tl.memory import check_readable
from automl_tl.monitor import Epoch
from automl_tl.output import whole
from automl_tl.searcher.trials.outcome import Outcome
from automl_tl.tensor_file import write_tensors

_STATE = "state."
_FACTS = ("value", "seconds", "epochs", "n_folds", "number", "sample", "drawn")
_IN_MEMORY = 2
"""Times its bytes that a file takes while it is read: its content, and the tensors of it."""


def write_outcome(file: Path, outcome: Outcome) -> None:
    """Write an outcome, whole or not at all; raises OSError, or SafetensorError for what the system said."""
    rows, scores = torch.tensor(outcome.rows), torch.tensor(outcome.scores)  # copied: results from afar are read-only
    tensors = {"rows": rows, "scores": scores}
    tensors |= {_STATE + name: value.contiguous() for name, value in outcome.state.items()}
    facts = {name: getattr(outcome, name) for name in _FACTS}
    facts["configuration"] = outcome.configuration.to_dict()
    facts |= {"history": [asdict(epoch) for epoch in outcome.history], "trainer": outcome.trainer}
    file.parent.mkdir(exist_ok=True)
    with whole(file) as new:
        write_tensors(new, tensors, {"facts": json.dumps(facts)})


def read_outcome(file: Path) -> Outcome | None:
    """Return the outcome in a file, or None where it is missing, damaged, or not what `write_outcome` writes.

    Raises:
        ShortageError: it is larger than the memory.
    """
    try:
        with safe_open(file, "pt") as opened:
            facts = facts_of(opened.metadata())
        check_readable(file, _IN_MEMORY * file.stat().st_size)
        tensors = load(file.read_bytes())  # a mapped file could not be replaced on Windows
        rows, scores = tensors["rows"].numpy().astype(np.int64), tensors["scores"].numpy()
        _check(rows, scores)
        state = {name.removeprefix(_STATE): value for name, value in tensors.items() if name.startswith(_STATE)}
        return Outcome(
            configuration=Configuration.from_dict(facts["configuration"]),
            value=number(facts["value"]),
            rows=rows,
            scores=scores,
            seconds=number(facts["seconds"]),
            epochs=whole_number(facts["epochs"], 0),
            n_folds=whole_number(facts["n_folds"], 0),
            state=state,
            history=tuple(map(Epoch.from_dict, listed(facts.get("history", [])))),
            trainer=whole_number(facts.get("trainer", 0), 0),
            number=whole_number(facts["number"], -1),
            sample=is_a(facts["sample"], str),
            drawn=is_a(facts.get("drawn", False), bool),
        )
    except (OSError, SafetensorError, AttributeError, KeyError, TypeError, ValueError):
        return None


def read_history(file: Path) -> tuple[Configuration, tuple[Epoch, ...]] | None:
    """Return what was trained and the epochs of its first fold, without a tensor; None where `read_outcome` would."""
    try:
        with safe_open(file, "pt") as opened:
            facts = facts_of(opened.metadata())
        history = tuple(map(Epoch.from_dict, listed(facts.get("history", []))))
        return Configuration.from_dict(facts["configuration"]), history
    except (OSError, SafetensorError, AttributeError, KeyError, TypeError, ValueError):
        return None


def _check(rows: np.ndarray, scores: np.ndarray) -> None:
    """Raise ValueError unless every row, a picture's number, has its scores."""
    if rows.ndim != 1 or scores.ndim != 2 or len(rows) != len(scores) or not scores.size:
        raise ValueError(f"rows {rows.shape} and scores {scores.shape}")
    if scores.dtype != np.float32 or rows.min() < 0 or len(np.unique(rows)) < len(rows):
        raise ValueError(f"scores of {scores.dtype}, or rows that are no pictures")

"""What was found out about the labels of a data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from automl_tl.data.quality import QualityReport
from automl_tl.learning.configuration import Configuration
from automl_tl.model.evaluation import Answer, Evaluation
from automl_tl.notebook import html_table

SCHEMA_VERSION = 1
MOST_SHOWN = 20
"""Labels that a notebook shows."""


@dataclass(frozen=True, eq=False)
class LabelReport:
    """The labels that are likely wrong, and what they were judged by."""

    path: str
    """The data set as the user named it."""
    quality: QualityReport
    """Of the pictures; it knows those that are there twice with different labels."""
    voters: tuple[Configuration, ...]
    """Classifiers whose calibrated probabilities were averaged."""
    n_folds: int
    """Every picture was judged without one of so many folds, its own."""
    evaluation: Evaluation
    """Of the voters together, on every picture that could be judged, against the given labels."""
    suspects: tuple[Answer, ...]
    """The labels that are likely wrong, the least believed first."""
    seconds: Mapping[str, float]
    notes: tuple[str, ...]

    def _repr_html_(self) -> str:
        shown = self.suspects[:MOST_SHOWN]
        rows = [
            ("likely wrong", f"{len(self.suspects):,} of {self.evaluation.n:,} labels"),
            *((one.path, f"{one.given}: rather {one.predicted} ({one.confidence:.0%})") for one in shown),
            *(("worth knowing", note) for note in self.notes),
        ]
        return html_table(f"Labels of {self.path}", rows)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as one JSON object."""
        return {
            "schema_version": SCHEMA_VERSION,
            "path": self.path,
            "n_judged": self.evaluation.n,
            "n_suspects": len(self.suspects),
            "suspects": [
                {
                    "path": one.path,
                    "given": one.given,
                    "likely": one.predicted,
                    "confidence": round(one.confidence, 4),
                    "given_probability": round(one.given_probability, 4),
                }
                for one in self.suspects
            ],
            "conflicts": [asdict(one) for one in self.quality.conflicts],
            "accuracy": round(self.evaluation.accuracy, 4),
            "voters": [one.to_dict() for one in self.voters],
            "n_folds": self.n_folds,
            "seconds": {name: round(value, 2) for name, value in self.seconds.items()},
            "notes": list(self.notes),
        }

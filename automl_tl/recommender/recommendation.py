"""The recommendation: everything that was found out about a data set, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from typing import Any

from automl_tl.data.majority import Majority
from automl_tl.data.quality import QualityReport
from automl_tl.domain.extremes import Extremes
from automl_tl.domain.similarity import Domain
from automl_tl.lab.advice import Advice
from automl_tl.lab.decision import FrontRow
from automl_tl.lab.evidence import Candidate
from automl_tl.lab.flips import FlipHarm
from automl_tl.lab.matrix import Matrix, Size
from automl_tl.lab.neighbours import Neighbour
from automl_tl.learning.curve import LearningCurve
from automl_tl.learning.estimate import Estimate
from automl_tl.notebook import accuracy_words, html_table
from automl_tl.recommender.confusion import Confusion
from automl_tl.strategies import FROZEN, Strategy

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Recommendation:
    """Which pretrained backbone, used how, and why."""

    path: str
    report: QualityReport
    n_classes: int
    n_training: int
    """Training pictures of the split, no others were looked at; about as many where a sample was drawn of all."""
    n_sampled: int
    """Pictures of the stratified sample that the evidence rests on."""
    size: Size
    domain: Domain
    """Of the chosen backbone."""
    domains: tuple[Domain, ...]
    matrix: Matrix
    strategy: Strategy
    frozen: Candidate
    """The frozen model that the strategy starts from, or is."""
    advice: Advice
    estimate: Estimate
    """Of `frozen`, trained on all training pictures."""
    front: tuple[FrontRow, ...]
    best: Mapping[Strategy, float]
    """Probability of each strategy to be the most accurate one, time no object."""
    neighbours: tuple[Neighbour, ...]
    """The most similar data sets of the panel, the nearest first."""
    probe: tuple[Candidate, ...]
    majority: Majority | None
    """The constant answer, where the classes are not balanced."""
    balanced_accuracy: float
    """Of `frozen` on pictures that it did not learn from, not corrected for its choice; NaN where a class cannot be
    measured."""
    curve: LearningCurve
    confusion: Confusion
    flips: tuple[FlipHarm, ...]
    metric: str
    budget: float | None
    """Training time that the strategy was chosen for, seconds."""
    reasons: tuple[str, ...]
    seconds: dict[str, float]
    notes: tuple[str, ...]
    extremes: Extremes | None = None
    """The pictures that are most and least like the pretraining domain; None where there is no reference of it."""

    @property
    def cuts(self) -> tuple[int, ...]:
        """Stages whose pooled outputs feed the head."""
        return self.frozen.source.cuts if self.strategy in FROZEN else (self.frozen.n_stages,)

    @property
    def pooling(self) -> str:
        """How those outputs are pooled."""
        return self.frozen.source.pooling if self.strategy in FROZEN else "mean"

    def _repr_html_(self) -> str:
        rows = [
            ("strategy", self.strategy),
            ("frozen model", self.frozen.describe()),
            ("expect", f"{accuracy_words(self.estimate.accuracy, self.estimate.interval)} with the frozen model"),
            *((row.strategy, accuracy_words(row.accuracy, row.interval)) for row in self.front),
            *(("because", reason) for reason in self.reasons),
        ]
        return html_table(f"Recommendation for {self.path}", rows)

    def to_dict(self) -> dict[str, Any]:
        """Return the recommendation as one JSON object."""
        return {
            "schema_version": SCHEMA_VERSION,
            "dataset": self._dataset(),
            "size": self.size.to_dict(),
            "domain": self.domain.to_dict(),
            "domains": [domain.to_dict() for domain in self.domains],
            "matrix": self.matrix.to_dict(),
            "strategy": self._strategy(),
            "expected": self._expected(),
            "front": [{**row.to_dict(), "probability_best": round(self.best[row.strategy], 3)} for row in self.front],
            "neighbours": [one.to_dict() for one in self.neighbours],
            "probe": [candidate.to_dict() for candidate in self.probe],
            "learning_curve": self._curve(),
            "confusion": self.confusion.to_dict(),
            "flips": [{**vars(flip), "allowed": flip.allowed} for flip in self.flips],
            "metric": self.metric,
            "budget": self.budget,
            "reasons": list(self.reasons),
            "notes": list(self.notes),
            "seconds": {name: round(value, 2) for name, value in self.seconds.items()},
        }

    def _dataset(self) -> dict[str, Any]:
        smallest, middle, largest = self.report.class_sizes
        return {
            "path": self.path,
            "n_images": self.report.n_images,
            "drawn_from": self.report.drawn.of if self.report.drawn else None,
            "n_classes": self.n_classes,
            "images_per_class": {"min": smallest, "median": middle, "max": largest},
            "n_unreadable": self.report.n_unreadable,
            "n_duplicates": self.report.n_duplicates,
            "n_training": self.n_training,
            "n_sampled": self.n_sampled,
            "fit": self.report.fit,
        }

    def _strategy(self) -> dict[str, Any]:
        return {
            "name": self.strategy,
            "backbone": self.frozen.backbone,
            "cut": max(self.cuts),
            "cuts": list(self.cuts),
            "pooling": self.pooling,
            "n_stages": self.frozen.n_stages,
            "unfreeze": self.advice.unfreeze,
            "lr_ratio": self.advice.lr_ratio,
            "head": {"kind": self.frozen.path.kind, "penalty": self.frozen.path.penalty},
            "augmentation": None if self.strategy in FROZEN else self.advice.augmentation.to_dict(),
        }

    def _expected(self) -> dict[str, Any]:
        return {
            "of": f"{self.frozen.strategy}: {self.frozen.describe()}",
            "accuracy": round(self.estimate.accuracy, 4),
            "interval": [round(value, 4) for value in self.estimate.interval],
            "balanced_accuracy": None if isnan(self.balanced_accuracy) else round(self.balanced_accuracy, 4),
            "majority_accuracy": None if self.majority is None else round(self.majority.accuracy, 4),
        }

    def _curve(self) -> dict[str, Any]:
        return {
            "sizes": [int(n) for n in self.curve.sizes],
            "accuracy": [round(float(a), 4) for a in self.curve.accuracy],
            "gain_with_twice_as_many": (
                round(self.curve.step(self.n_training, 2 * self.n_training)[0], 4) if self.curve.is_measured else None
            ),
        }

"""What a search found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from automl_tl.data.quality import QualityReport
from automl_tl.durations import format_duration
from automl_tl.lab.assessment import Assessment
from automl_tl.learning.configuration import Configuration
from automl_tl.learning.estimate import Estimate
from automl_tl.model.evaluation import Evaluation
from automl_tl.notebook import accuracy_words, html_table
from automl_tl.searcher.summary import Sampled, SearchSummary
from automl_tl.searcher.trials.comparison import Comparison
from automl_tl.strategies import Strategy

SCHEMA_VERSION = 1


@dataclass(frozen=True, eq=False)
class SearchResult:
    """The best model of a search, what is known of it, and where everything is."""

    path: str
    """The data set as the user named it."""
    report: QualityReport
    """Of the pictures."""
    assessment: Assessment
    """What was known before anything was trained; the recommendation that the search began from is its choice."""
    best: Configuration
    members: tuple[Configuration, ...]
    """Of the delivered model, the best one first; two for an ensemble."""
    shares: tuple[float, ...]
    """Of the members, in the model's probabilities; they sum to 1."""
    params: dict[str, Any]
    """The best one's parameters in the search space."""
    value: float
    """The best one's estimated metric, uncorrected for having been chosen."""
    validation: Estimate
    """The delivered model's expected accuracy, corrected for that."""
    test: Evaluation | None
    """On pictures that no decision has seen; None where there are none."""
    predicted: tuple[float, tuple[float, float]]
    """What the recommendation expected of the best one's strategy: accuracy and 90 % interval."""
    comparisons: tuple[Comparison, ...]
    """The best few candidates against the best frozen one, the best first."""
    n_trials: int
    seconds: float
    parts: dict[str, float]
    """Seconds of what the search did, by part; what is missing to `seconds` is start-up."""
    stopped_because: str
    bundle: Path
    """Folder of the model."""
    leaderboard: Path
    table: pd.DataFrame
    """The leaderboard."""
    metric: str
    budget: float | None
    notes: tuple[str, ...]
    sample: Sampled | None = None
    """Of the training pictures; None where all of them were looked at."""

    @property
    def recommended(self) -> Strategy:
        """The strategy that was recommended before the search."""
        return self.assessment.choice.strategy

    @property
    def n_test(self) -> int:
        """Pictures of the test."""
        return 0 if self.test is None else self.test.n

    @property
    def summary(self) -> SearchSummary:
        """What people are told at the end."""
        test = self.test
        return SearchSummary(
            members=self.members, shares=self.shares, params=self.params, metric=self.metric, value=self.value,
            expected=(self.validation.accuracy, self.validation.interval),
            test=None if test is None else test.numbers,
            majority=self.assessment.sample.majority if test is None else test.majority,
            predicted=self.predicted, recommended=self.recommended, n_trials=self.n_trials, seconds=self.seconds,
            budget=self.budget, stopped_because=self.stopped_because, bundle=self.bundle,
            leaderboard=self.leaderboard, notes=self.notes,
            sample=self.sample,
        )  # fmt: skip

    def _repr_html_(self) -> str:
        test = "none" if self.test is None else f"{self.test.accuracy:.1%} of {self.n_test:,} pictures"
        rows = [
            *(
                (one.strategy, f"{one.describe()} ({share:.0%})")
                for one, share in zip(self.members, self.shares, strict=True)
            ),
            ("expected", accuracy_words(self.validation.accuracy, self.validation.interval)),
            ("test", test),
            ("tried", f"{self.n_trials:,} trials in {format_duration(self.seconds)}; {self.stopped_because}"),
            ("model", str(self.bundle)),
            *(("worth knowing", note) for note in self.notes),
        ]
        return html_table(f"Search on {self.path}", rows)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as one JSON object."""
        test, validation = self.test, self.validation
        return {
            "schema_version": SCHEMA_VERSION,
            "best": self._best(),
            "members": [
                {**member.to_dict(), "share": round(share, 4)}
                for member, share in zip(self.members, self.shares, strict=True)
            ],
            "validation": {
                **_expected(validation.accuracy, validation.interval), "metric": self.metric,
                "value": round(self.value, 4),
            },
            "test": None if test is None else {name: round(value, 4) for name, value in test.numbers.items()},
            "predicted": _expected(*self.predicted),
            "recommended": self.recommended,
            "n_trials": self.n_trials,
            "seconds": round(self.seconds, 2),
            "seconds_by_part": {name: round(seconds, 2) for name, seconds in self.parts.items()},
            "budget": self.budget,
            "stopped_because": self.stopped_because,
            "bundle": str(self.bundle.resolve()),
            "leaderboard": str(self.leaderboard.resolve()),
            "notes": list(self.notes),
            **({} if self.sample is None else {"sample": self.sample.to_dict()}),
        }  # fmt: skip

    def _best(self) -> dict[str, Any]:
        return {
            "strategy": self.best.strategy,
            "backbone": self.best.backbone,
            "cut": max(self.best.cuts),
            "cuts": list(self.best.cuts),
            "pooling": self.best.pooling,
            "head": self.best.head,
            "params": self.params,
            "validation_accuracy": round(self.validation.accuracy, 4),
        }


def _expected(accuracy: float, interval: tuple[float, float]) -> dict[str, Any]:
    return {"accuracy": round(accuracy, 4), "interval": [round(end, 4) for end in interval]}

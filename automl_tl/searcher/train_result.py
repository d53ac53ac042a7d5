"""What training one configuration came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from automl_tl.data.quality import QualityReport
from automl_tl.durations import format_duration
from automl_tl.learning.configuration import Configuration
from automl_tl.learning.trainer import TRAINER_VERSION
from automl_tl.model.evaluation import Evaluation
from automl_tl.monitor import Epoch
from automl_tl.notebook import html_table
from automl_tl.searcher.predecessor import Origin
from automl_tl.searcher.summary import TrainSummary
from automl_tl.strategies import Strategy

SCHEMA_VERSION = 1


@dataclass(frozen=True, eq=False)
class TrainResult:
    """A model of one configuration, how it was trained and how good it is."""

    path: str
    """The data set as the user named it."""
    report: QualityReport
    """Of the pictures."""
    fingerprint: str
    """Of the data set."""
    recommended: Strategy
    configuration: Configuration
    metric: str
    seed: int
    value: float
    """The metric on the validation part, estimated for all pictures as in a search."""
    validation: Evaluation
    """On pictures that it had not learned from, before it learned from every training picture."""
    test: Evaluation | None
    """Of the delivered model, on pictures that no decision has seen; None where there are none."""
    history: tuple[Epoch, ...]
    """Every epoch of the run that was validated; empty for a frozen ConvNet."""
    per_class: Mapping[str, int]
    """Training pictures by class."""
    n_training: int
    """Pictures that the delivered model has learned from."""
    seconds: float
    bundle: Path
    """Folder of the model."""
    notes: tuple[str, ...]
    origin: Origin | None = None
    """The model that it went on from; None where it began with the pretrained weights."""

    @property
    def summary(self) -> TrainSummary:
        """What people are told at the end."""
        return TrainSummary(
            configuration=self.configuration, recommended=self.recommended, metric=self.metric, value=self.value,
            validation=self.validation.numbers, test=None if self.test is None else self.test.numbers,
            history=self.history, n_training=self.n_training, seconds=self.seconds, bundle=self.bundle,
            notes=self.notes, origin=self.origin,
        )  # fmt: skip

    def _repr_html_(self) -> str:
        rows = [
            (self.configuration.strategy, self.configuration.describe()),
            *([] if self.origin is None else [("goes on from", self.origin.describe())]),
            ("validation", f"{self.validation.accuracy:.1%} of {self.validation.n:,} pictures"),
            ("test", "none" if self.test is None else f"{self.test.accuracy:.1%} of {self.test.n:,} pictures"),
            ("learned from", f"{self.n_training:,} pictures in {format_duration(self.seconds)}"),
            ("model", str(self.bundle)),
            *(("worth knowing", note) for note in self.notes),
        ]
        return html_table(f"Training on {self.path}", rows)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as one JSON object."""
        return {
            "schema_version": SCHEMA_VERSION,
            "configuration": self.configuration.to_dict(),
            "from": None if self.origin is None else self.origin.to_dict(),
            "recommended": self.recommended,
            "metric": self.metric,
            "value": self.value,
            "validation": self.validation.numbers,
            "test": None if self.test is None else self.test.numbers,
            "n_training": self.n_training,
            "history": [asdict(epoch) for epoch in self.history],
            "trainer": TRAINER_VERSION,
            "seed": self.seed,
            "seconds": round(self.seconds, 2),
            "bundle": str(self.bundle.resolve()),
            "notes": list(self.notes),
        }

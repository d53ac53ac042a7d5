"""A plugin-based AutoML recommender for transfer learning in image classification.

>>> import automl_tl
>>> automl_tl.recommend  # doctest: +ELLIPSIS
<function recommend at ...>
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from automl_tl.version import __version__

if TYPE_CHECKING:
    from automl_tl.exporter.export import export
    from automl_tl.model.bundle import load
    from automl_tl.model.model import Model
    from automl_tl.monitor import Monitor
    from automl_tl.recommender.recommend import recommend
    from automl_tl.recommender.recommendation import Recommendation
    from automl_tl.reviewer.label_report import LabelReport
    from automl_tl.reviewer.labels import labels
    from automl_tl.searcher.estimator import TransferClassifier
    from automl_tl.searcher.result import SearchResult
    from automl_tl.searcher.search import search
    from automl_tl.searcher.train import train
    from automl_tl.searcher.train_result import TrainResult

__all__ = [
    "LabelReport",
    "Model",
    "Monitor",
    "Recommendation",
    "SearchResult",
    "TrainResult",
    "TransferClassifier",
    "__version__",
    "export",
    "labels",
    "load",
    "recommend",
    "search",
    "train",
]

_LAZY = {
    "export": "automl_tl.exporter.export",
    "labels": "automl_tl.reviewer.labels",
    "LabelReport": "automl_tl.reviewer.label_report",
    "load": "automl_tl.model.bundle",
    "Model": "automl_tl.model.model",
    "Monitor": "automl_tl.monitor",
    "recommend": "automl_tl.recommender.recommend",
    "Recommendation": "automl_tl.recommender.recommendation",
    "search": "automl_tl.searcher.search",
    "SearchResult": "automl_tl.searcher.result",
    "train": "automl_tl.searcher.train",
    "TrainResult": "automl_tl.searcher.train_result",
    "TransferClassifier": "automl_tl.searcher.estimator",
}


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])


def __getattr__(name: str) -> Any:
    """Import torch and what needs it only when a name is used: `automl-tl --help` answers at once."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)

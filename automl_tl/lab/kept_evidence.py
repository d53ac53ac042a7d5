"""What was measured on frozen features, kept on the disk: a second run on the same pictures solves nothing anew."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from automl_tl.features.extract import Features
from automl_tl.features.memo import remember
from automl_tl.features.store import digest
from automl_tl.foreign import is_a, listed, number, whole_number
from automl_tl.foreign import name as checked_name
from automl_tl.lab.evidence import Candidate, Evidence, gather_evidence
from automl_tl.lab.feature_sources import FeatureSource
from automl_tl.lab.lab import Lab
from automl_tl.lab.sample import Sample
from automl_tl.learning.scores import PenaltyPath
from automl_tl.monitor import Progress
from automl_tl.version import __version__

VERSION = 5
"""Raised with every change after which the same features come to other results."""
MOST_CLASSES = 100
"""Of a sample whose evidence is kept: its predictions are some 3 MB of JSON, of 1,000 classes 20."""
MOST_KEPT = 30
"""Data sets, or settings, of which it is kept."""


def evidence_of(
    lab: Lab, features: Mapping[str, Features], sample: Sample, progress: Progress, *, deadline: float = math.inf
) -> Evidence:
    """Return what `gather_evidence` does, from the cache where it was gathered before.

    With a deadline nothing is kept, as what is gathered until then depends on the machine; nor of many classes.
    """
    if not math.isinf(deadline) or len(sample.classes) > MOST_CLASSES:
        return gather_evidence(lab, features, sample, progress, deadline=deadline)
    return remember(
        lab.networks.cache / "evidence",
        _depends_on(lab, features, sample),
        lambda: to_dict(gather_evidence(lab, features, sample, progress)),
        lambda values: from_dict(values, sample),
        most=MOST_KEPT,
    )


def _depends_on(lab: Lab, features: Mapping[str, Features], sample: Sample) -> dict[str, Any]:
    pictures = [picture.sha256 for picture in sample.pictures]
    return {
        "version": [VERSION, __version__],
        "features": {name: digest(lab.networks.key(name, lab.report.fit)) for name in features},
        "pictures": digest({"sha256": pictures, "y": sample.y.tolist(), "folds": sample.folds.tolist()}),
        "groups": digest({"groups": sample.groups.tolist()}),
        "classes": len(sample.classes),
        "metric": lab.metric.name,
        "seed": lab.seed,
    }


def to_dict(evidence: Evidence) -> dict[str, Any]:
    """Return plain JSON values; `from_dict` reads them."""
    return {
        "probe": [_candidate_to_dict(one) for one in evidence.probe],
        "finalists": [_candidate_to_dict(one) for one in evidence.finalists],
        "backbone": evidence.backbone,
        "backbone_reason": evidence.backbone_reason,
        "screened_all": evidence.screened_all,
        "metric": evidence.metric,
    }


def from_dict(values: Any, sample: Sample) -> Evidence:
    """Return the evidence of a sample that `to_dict` described.

    Raises:
        KeyError, TypeError, ValueError: it did not.
    """
    parts = {part: tuple(_candidate(one, sample) for one in listed(values[part])) for part in ("probe", "finalists")}
    if not all(parts.values()):
        raise ValueError("it has no candidates")
    return Evidence(
        **parts,
        backbone=checked_name(values["backbone"]),
        backbone_reason=is_a(values["backbone_reason"], str),
        screened_all=is_a(values["screened_all"], bool),
        metric=is_a(values["metric"], str),
    )


def _candidate_to_dict(one: Candidate) -> dict[str, Any]:
    path = one.path
    return {
        "backbones": list(one.source.backbones), "cuts": list(one.source.cuts), "pooling": one.source.pooling,
        "n_stages": one.n_stages, "accuracy": one.accuracy, "merit": one.merit, "rows": one.rows.tolist(),
        "kind": path.kind, "penalties": path.penalties.tolist(), "values": path.values.tolist(), "best": path.best,
        "predictions": path.predictions.tolist(), "losses": path.losses.tolist(),
        "confidence": path.confidence,
    }  # fmt: skip


def _candidate(values: Any, sample: Sample) -> Candidate:
    rows = _whole(values["rows"], sample.n)
    predictions = np.stack([_whole(one, len(sample.classes)) for one in listed(values["predictions"])])
    penalties, found, losses = (
        np.array([number(one) for one in listed(values[name])]) for name in ("penalties", "values", "losses")
    )
    if predictions.shape != (len(penalties), len(losses)) or len(found) != len(penalties) or len(losses) != len(rows):
        raise ValueError("its predictions are of other pictures or penalties")
    best = whole_number(values["best"], 0, len(penalties) - 1)
    path = PenaltyPath(
        is_a(values["kind"], str), penalties, predictions.astype(np.int32), found, best,
        oof=np.empty((0, 0), np.float32), losses=losses.astype(np.float32), confidence=number(values["confidence"]),
    )  # fmt: skip
    n_stages = whole_number(values["n_stages"], 1)
    cuts = tuple(whole_number(cut, 1, n_stages) for cut in listed(values["cuts"]))
    names = tuple(checked_name(one) for one in listed(values["backbones"]))
    source = FeatureSource(names, cuts, is_a(values["pooling"], str))
    return Candidate(source, n_stages, path, rows, number(values["accuracy"]), number(values["merit"]))


def _whole(values: Sequence[Any], end: int) -> np.ndarray:
    """Return whole numbers from 0 to below `end`, int64 (m,), m above 0; raises ValueError for anything else."""
    found = np.array(listed(values))
    if found.ndim != 1 or found.dtype != np.int64 or not len(found) or found.min() < 0 or found.max() >= end:
        raise ValueError(f"it must list whole numbers below {end}")
    return found

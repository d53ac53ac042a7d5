"""One verdict on how far a data set lies from a backbone's pretraining domain, from two views.

The headline is the embedding distance to the backbone's reference, relative to what this backbone calls far
(`DomainReference.scale`). The second view, the distance by depth, needs no source data. Where the two disagree
the verdict is less sure, and says so; where neither can be had it is "unknown", never a guess.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
import pandas as pd

from automl_tl.domain.depth import DepthProfile
from automl_tl.domain.reference import Comparison, DomainReference

Verdict = Literal["similar", "borderline", "different", "unknown"]

RELATIVE_BORDERS = (1.6, 2.6)
"""Embedding distance in units of the reference's scale: similar below the first, different above the second."""
DEPTH_BORDERS = (0.17, 0.22)
"""Mean distance over BatchNorm layers, in units of the kept variance: similar below, different above."""
_BORDER_DOUBT = 0.35
"""Standard deviation of the border, as a share of it: nobody knows exactly where similar ends."""
_DEPTH_DOUBT = 0.30
_SURE = 3.0
"""Standard deviations beyond which a view is no surer: it shall not outvote the other by being extreme."""
_N_SUBSAMPLES = 20
_FEWEST_GROUPS = 4
MIN_PICTURES = 8


@dataclass(frozen=True)
class View:
    """One way of measuring the distance."""

    distance: float
    stderr: float
    """Of the distance, from half-samples without replacement; 0 where not estimated."""
    leaning: float
    """Standard deviations beyond the middle of the border: below 0 similar, above 0 different."""
    verdict: Verdict


@dataclass(frozen=True)
class Domain:
    """How far the pictures lie from one backbone's pretraining domain."""

    backbone: str
    distance: float | None
    """Unbiased squared MMD to the reference; the depth distance where there is no reference; None if unknown."""
    measure: str
    """"embedding", "depth", "proxy" or "none": what `distance` and `verdict` rest on."""
    relative: float | None
    """Embedding distance in units of the reference's scale."""
    verdict: Verdict
    confidence: float
    """Probability of the side that the verdict names or leans to, 0.5 to 1; 0 if unknown."""
    different: float | None
    """Probability that the pictures are different from the pretraining domain; None if unknown."""
    reference: str
    by_depth: tuple[float, ...]
    depth_distance: float | None
    agree: bool
    """Whether the two views name, or could name, the same side."""
    note: str = ""
    looks_like: tuple[tuple[str, float], ...] = ()
    """What the backbone's own classifier sees most, with the share of the pictures."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        values = {**vars(self), "by_depth": [None if math.isnan(v) else round(v, 4) for v in self.by_depth]}
        values["looks_like"] = [{"label": label, "share": round(share, 3)} for label, share in self.looks_like]
        return {k: round(v, 4) if isinstance(v, float) else v for k, v in values.items()}


def judge(
    backbone: str,
    embeddings: np.ndarray,
    reference: DomainReference | None,
    profile: DepthProfile,
    stage_embeddings: tuple[np.ndarray, ...] = (),
    groups: np.ndarray | None = None,
) -> Domain:
    """Return the verdict for one backbone.

    Args:
        backbone: its name.
        embeddings: float (n, d), the last stage's means of a stratified sample.
        reference: the backbone's own, or None.
        profile: the distance by depth, nan where the network has no BatchNorm.
        stage_embeddings: the means of every stage; used for the profile by depth where BatchNorm is missing.
        groups: int (n,), pictures that belong together, as frames of one video; None: none do.
    """
    enough = len(embeddings) >= MIN_PICTURES
    embedding = _embedding_view(embeddings, reference, groups) if reference and enough else None
    depth = None if math.isnan(profile.distance) else _view(profile.distance, 0.0, DEPTH_BORDERS, _DEPTH_DOUBT)
    by_depth = profile.by_depth
    if depth is None and reference and stage_embeddings:
        by_depth = tuple(reference.distance(rows, stage, groups) for stage, rows in enumerate(stage_embeddings, 1))
    shared: dict[str, Any] = {
        "backbone": backbone,
        "by_depth": by_depth,
        "depth_distance": depth.distance if depth else None,
        "reference": reference.name if embedding and reference else "",
    }
    if embedding and reference:
        return _combine(embedding, depth, embedding.distance / reference.scale, shared)
    if depth:
        return _depth_only(depth, shared, f"{_why_not(reference)}: judged by depth alone")
    return Domain(
        **shared, distance=None, measure="none", relative=None, verdict="unknown", confidence=0.0, different=None,
        agree=True, note=_why_not(reference) + ", and this backbone has no BatchNorm statistics to compare with",
    )  # fmt: skip


def proxy(domain: Domain, other: Domain, *, wider: str = "") -> Domain:
    """Return `other`'s distance as the declared stand-in for a backbone that cannot be compared itself.

    wider: the set that the backbone was pretrained on, where it holds more than `other`'s; "" where both are the same.
    """
    note = f"measured with {other.backbone}, which was pretrained on the same domain"
    if wider:
        note = (
            f"measured with {other.backbone}, as {wider} has no reference; it holds such photographs and many more, so "
            "the pictures may be nearer to it than this says"
        )
    return replace(
        other,
        backbone=domain.backbone,
        measure="proxy",
        reference=f"{other.reference or 'depth'} seen by {other.backbone} (proxy)",
        by_depth=domain.by_depth,
        depth_distance=None,
        looks_like=domain.looks_like,
        note=note,
    )


def _combine(embedding: View, depth: View | None, relative: float, shared: dict[str, Any]) -> Domain:
    opposed = depth is not None and {embedding.verdict, depth.verdict} == {"similar", "different"}
    leaning = embedding.leaning if depth is None else (embedding.leaning + depth.leaning) / 2
    outvoted = leaning > 0 if embedding.verdict == "similar" else leaning < 0 and embedding.verdict == "different"
    verdict: Verdict = "borderline" if opposed or outvoted else embedding.verdict
    note = ""
    if opposed and depth:
        note = f"the embedding distance says {embedding.verdict}, the distance by depth {depth.verdict}"
    different = NormalDist().cdf(leaning)
    return Domain(
        **shared, distance=embedding.distance, measure="embedding", relative=relative, verdict=verdict,
        confidence=_confidence(verdict, different), different=different, agree=not opposed, note=note,
    )  # fmt: skip


def _depth_only(depth: View, shared: dict[str, Any], note: str) -> Domain:
    different = NormalDist().cdf(depth.leaning)
    return Domain(
        **{**shared, "reference": "BatchNorm statistics in the weights"}, distance=depth.distance, measure="depth",
        relative=None, verdict=depth.verdict, confidence=_confidence(depth.verdict, different), different=different,
        agree=True, note=note,
    )  # fmt: skip


def _why_not(reference: DomainReference | None) -> str:
    if reference is None:
        return "there is no reference of this backbone's pretraining domain"
    return f"fewer than {MIN_PICTURES} pictures are too few for the embedding distance"


def _confidence(verdict: Verdict, different: float) -> float:
    if verdict == "similar":
        return 1 - different
    return different if verdict == "different" else max(different, 1 - different)


def _embedding_view(embeddings: np.ndarray, reference: DomainReference, groups: np.ndarray | None) -> View:
    comparison = reference.compare(embeddings, groups=groups)
    low, high = (border * reference.scale for border in RELATIVE_BORDERS)
    return _view(comparison.distance(), _half_sample_error(comparison), (low, high), _BORDER_DOUBT)


def _half_sample_error(comparison: Comparison) -> float:
    """Return the standard error: a half-sample deviates from the whole as the whole does from the truth.

    Without replacement, since a bootstrap repeats pictures, which biases this statistic. Groups stay together where
    halves of them hold two pictures of two groups, which takes four groups.
    """
    generator, distance = np.random.default_rng(0), comparison.distance()
    pictures = np.arange(len(comparison.across))
    units = pictures if comparison.groups is None else pd.factorize(comparison.groups)[0]
    if units.max() + 1 < _FEWEST_GROUPS:
        units = pictures
    n = int(units.max()) + 1
    halves = (np.flatnonzero(np.isin(units, generator.permutation(n)[: n // 2])) for _ in range(_N_SUBSAMPLES))
    return float(np.sqrt(np.mean([(comparison.distance(half) - distance) ** 2 for half in halves])))


def _view(distance: float, stderr: float, borders: tuple[float, float], doubt: float) -> View:
    low, high = borders
    middle = math.sqrt(low * high)
    leaning = max(-_SURE, min(_SURE, (distance - middle) / math.hypot(doubt * middle, stderr)))
    verdict: Verdict = "similar" if distance < low else "different" if distance > high else "borderline"
    return View(distance, stderr, leaning, verdict)

"""What frozen features of these pictures reach: every source screened, the best few solved to the optimum."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from automl_tl.backbones.prior import static_prior
from automl_tl.features.extract import Features
from automl_tl.lab.calibration import CONTRADICTION
from automl_tl.lab.feature_sources import FeatureSource, sources
from automl_tl.lab.lab import Lab
from automl_tl.lab.sample import Sample
from automl_tl.learning.classifiers import SOLVED_KINDS
from automl_tl.learning.effort import solving
from automl_tl.learning.estimate import binomial_stderr, paired_gain
from automl_tl.learning.heads import l2_grid, solve_path
from automl_tl.learning.merit import merit, usual
from automl_tl.learning.scores import PenaltyPath
from automl_tl.learning.screen import ridge_path
from automl_tl.learning.spectrum import decompose
from automl_tl.monitor import Progress
from automl_tl.spare_time import until
from automl_tl.strategies import FROZEN, Strategy, frozen_strategy

SCREEN_SIZE = 400
"""Pictures that every source is screened on; the best few are looked at again on all of them."""
N_FINALISTS = 4
_PRIOR_SLOPE = 0.5
"""Expected difference in accuracy between two backbones, per difference in ImageNet accuracy."""
_PRIOR_SD = 0.02
"""Spread of that expectation; evidence of a smaller standard error outweighs it."""


@dataclass(frozen=True)
class Candidate:
    """One source with one kind of classifier, scored out of fold."""

    source: FeatureSource
    n_stages: int
    path: PenaltyPath
    rows: np.ndarray
    """int (m,), pictures of the sample that it was scored on."""
    accuracy: float
    merit: float
    """By which it is chosen: `learning.merit`."""

    @property
    def backbone(self) -> str:
        """Name of the backbone."""
        return self.source.backbones[0]

    @property
    def strategy(self) -> Strategy:
        """Name of the frozen strategy that the cuts belong to."""
        return frozen_strategy(self.source.cuts, self.n_stages)

    @property
    def stderr(self) -> float:
        """Binomial standard error of the accuracy."""
        return binomial_stderr(self.accuracy, len(self.rows))

    def describe(self) -> str:
        """Return backbone, cuts, pooling and classifier in words."""
        cuts = "+".join(map(str, self.source.cuts))
        word = "cuts" if len(self.source.cuts) > 1 else "cut"
        return f"{self.backbone}, {word} {cuts} of {self.n_stages}, {self.source.pooling}, {self.path.kind}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "backbone": self.backbone,
            "cuts": list(self.source.cuts),
            "pooling": self.source.pooling,
            "classifier": self.path.kind,
            "accuracy": round(self.accuracy, 4),
            "stderr": round(self.stderr, 4),
        }


@dataclass(frozen=True)
class Evidence:
    """Everything that was measured on frozen features."""

    probe: tuple[Candidate, ...]
    """Every source with the ridge screen, the best first."""
    finalists: tuple[Candidate, ...]
    """Candidates of the chosen backbone on the whole sample, ridge and solved."""
    backbone: str
    backbone_reason: str
    screened_all: bool
    """Whether the screen saw every picture of the sample, so that its answers and the finalists' are comparable."""
    metric: str
    """Which was to be good when backbone and sources were chosen."""

    def screened(self, candidate: Candidate) -> Candidate:
        """Return the ridge screen of a candidate's source."""
        return next(c for c in self.probe if c.source == candidate.source)

    @property
    def late(self) -> Candidate:
        """The best feature extractor: every backbone has one, its last cut at least."""
        candidate = self.best("feature_extractor")
        assert candidate is not None
        return candidate

    def best(self, strategy: Strategy) -> Candidate | None:
        """Return the best finalist of a frozen strategy."""
        return _best([c for c in self.finalists if c.strategy == strategy])


def gather_evidence(
    lab: Lab, features: Mapping[str, Features], sample: Sample, progress: Progress, *, deadline: float = math.inf
) -> Evidence:
    """Screen every source of every backbone, choose the backbone, and solve its best sources.

    Args:
        lab: knows what is to be good.
        features: by backbone, of the sample's pictures.
        sample: the pictures.
        progress: called with (done, total) sources.
        deadline: `time.monotonic()` at which it ends with the sources that are done, one at least.
    """
    metric, probe = lab.metric.name, screen(lab, features, sample, progress, deadline=deadline)
    rows = probe[0].rows
    backbone, reason = _choose_backbone(probe, metric, _prior(features.keys() - lab.networks.overrides.weights), sample)
    own = [c for c in probe if c.backbone == backbone]
    finalists = _finalists(lab, own, features[backbone], sample, rows, deadline)
    return Evidence(tuple(probe), tuple(finalists), backbone, reason, len(rows) == sample.n, metric)


def screen(
    lab: Lab,
    features: Mapping[str, Features],
    sample: Sample,
    progress: Progress,
    *,
    deadline: float = math.inf,
) -> list[Candidate]:
    """Return every source of every backbone with the ridge screen, the best first; arguments as `gather_evidence`."""
    rows = sample.subset(SCREEN_SIZE, lab.seed)
    listed = [(name, source) for name in features for source in sources(features[name])]
    order = sorted(listed, key=lambda item: item[1].cuts != (features[item[0]].n_stages,))  # every last cut first
    screened: dict[FeatureSource, Candidate] = {}
    for name, source in until(deadline, order):
        screened[source] = _screen(lab, features[name], source, sample, rows)
        progress(len(screened), len(listed))
    probe = [screened[source] for _, source in listed if source in screened]
    return sorted(probe, key=lambda c: -c.merit)


def _prior(names: Iterable[str]) -> pd.Series:
    """Return the published ImageNet accuracy, 0 to 1, of those backbones that have one.

    The user's own weights for a backbone are others than those of which it was published.
    """
    published = static_prior()["top1"] / 100
    return published[published.index.isin(names)]


def _screen(lab: Lab, features: Features, source: FeatureSource, sample: Sample, rows: np.ndarray) -> Candidate:
    X = _matrix(features, source, rows)
    path = ridge_path(sample.problem(X, rows), metric=lab.metric.name, device=lab.engine.device)
    return _candidate(lab, source, features.n_stages, path, rows, sample)


def _matrix(features: Features, source: FeatureSource, rows: np.ndarray) -> np.ndarray:
    part = features if len(rows) == features.n else features.take(rows)
    return part.matrix(source.cuts, source.pooling)


def _candidate(
    lab: Lab, source: FeatureSource, n_stages: int, path: PenaltyPath, rows: np.ndarray, sample: Sample
) -> Candidate:
    y = sample.y[rows]
    accuracy = float((path.predictions[path.best] == y).mean())
    worth = merit(path.value, path.losses, y, lab.metric, usual(source.cuts, source.pooling))
    scoreless = replace(path, oof=np.empty((0, 0), np.float32))  # a gigabyte for hundreds of sources and classes
    return Candidate(source, n_stages, scoreless, rows, accuracy, worth)


def _finalists(
    lab: Lab, probe: Sequence[Candidate], features: Features, sample: Sample, rows: np.ndarray, deadline: float
) -> Iterator[Candidate]:
    """Look at the best sources of each frozen strategy on the whole sample, and solve the very best."""
    everything = np.arange(sample.n)
    screened_all = len(rows) == sample.n
    for strategy in FROZEN:
        some = [c for c in probe if c.strategy == strategy][: None if screened_all else N_FINALISTS]
        if not screened_all:
            some = [_screen(lab, features, c.source, sample, everything) for c in until(deadline, some)]
        yield from some
        best = _best(some)
        if time.monotonic() < deadline and _is_solvable(sample) and best is not None:
            yield from _solve(lab, best.source, features, sample, rows, deadline)


def _is_solvable(sample: Sample) -> bool:
    """Return whether the document's classifiers can be solved fold by fold, whatever the source: its rank is below n.

    Where they cannot (1,000 classes, say) the screen's own classifier is what is recommended.
    """
    n_folds = len(np.unique(sample.folds))
    return solving(sample.n, sample.n, len(sample.classes), n_folds=n_folds, path=True).affordable


def _solve(
    lab: Lab, source: FeatureSource, features: Features, sample: Sample, rows: np.ndarray, deadline: float
) -> Iterator[Candidate]:
    """Solve the document's classifiers on the screened part; on a larger sample only the best of them again."""
    metric, device = lab.metric.name, lab.engine.device
    spectrum = decompose(_matrix(features, source, rows), device)
    problem = sample.problem(spectrum, rows)
    strengths = l2_grid(len(rows), round(spectrum.unit))
    paths = [
        solve_path(kind, problem, strengths, metric=metric, deadline=deadline) for kind in until(deadline, SOLVED_KINDS)
    ]
    if len(rows) < sample.n:
        best = max(paths, key=lambda p: merit(p.value, p.losses, problem.y, lab.metric, 0.0))
        near = best.penalties[max(best.best - 1, 0) : best.best + 2] * len(rows) / sample.n
        rows = np.arange(sample.n)
        problem = sample.problem(decompose(_matrix(features, source, rows), device))
        paths = [solve_path(best.kind, problem, near, metric=metric, deadline=deadline)]
    for path in paths:
        yield _candidate(lab, source, features.n_stages, path, rows, sample)


def _choose_backbone(probe: Sequence[Candidate], metric: str, prior: pd.Series, sample: Sample) -> tuple[str, str]:
    """Return the backbone whose best source is best, measured differences drawn towards the published ones.

    Where the two contradict each other, what is published says nothing here, as in `GainPrior.with_measured`; nor does
    it of backbones of which nothing is, or of a single one.
    """
    best: dict[str, Candidate] = {}
    for candidate in probe:  # the best first
        best.setdefault(candidate.backbone, candidate)
    top = probe[0]
    if len(best) == 1:
        return top.backbone, f"{top.backbone} is the only backbone that was considered."
    measured = pd.Series({name: c.merit for name, c in best.items()})
    published = _PRIOR_SLOPE * prior.reindex(measured.index)
    published += (measured - published).mean()  # of those that are published
    noise = float(np.mean([_difference(top, c, sample)[1] for c in best.values() if c is not top]))
    ahead = (measured - published).fillna(0.0)
    ranked = (measured - noise**2 / (noise**2 + _PRIOR_SD**2) * ahead).sort_values(ascending=False, kind="stable").index
    if ahead[top.backbone] - ahead[ranked[0]] > CONTRADICTION * math.hypot(noise, _PRIOR_SD, _PRIOR_SD):
        ranked = measured.sort_values(ascending=False, kind="stable").index
    first, second = map(str, ranked[:2])
    return first, _why_backbone(best[first], best[second], prior, sample, metric)


def _difference(ours: Candidate, theirs: Candidate, sample: Sample) -> tuple[float, float]:
    """Return the accuracy of one screened source minus another's on the same pictures, and its standard error."""
    right = [c.path.predictions[c.path.best] == sample.y[c.rows] for c in (theirs, ours)]
    return paired_gain(right[0], right[1], sample.groups[ours.rows])


def _why_backbone(ours: Candidate, theirs: Candidate, prior: pd.Series, sample: Sample, metric: str) -> str:
    gain, stderr = _difference(ours, theirs, sample)
    text = f"{ours.backbone} before {theirs.backbone}: "
    text += "as good as equal, " if abs(gain) <= stderr else ""
    text += f"{100 * gain:+z.1f} points on these pictures (standard error {100 * stderr:.1f})"
    before = 0.0
    if {ours.backbone, theirs.backbone} <= set(prior.dropna().index):
        before = prior[ours.backbone] - prior[theirs.backbone]
        text += f", {100 * before:+z.1f} on ImageNet"
    return f"{text}{why_chosen(ours, theirs, max(gain, before), metric)}."


def why_chosen(ours: Candidate, theirs: Candidate, gain: float, metric: str) -> str:
    """Return what is to be added where a gain in accuracy does not say why `ours` was chosen; "" where it does."""
    if metric != "accuracy":
        return f"; chosen by {metric}"
    if gain > 0:
        return ""
    if ours.path.losses.mean() < theirs.path.losses.mean():
        return "; chosen as the right labels are likelier by it"
    joined = len(ours.source.cuts) > len(theirs.source.cuts)
    return "; chosen as joined stages usually are ahead" if joined else ""


def _best(candidates: Sequence[Candidate]) -> Candidate | None:
    return max(candidates, key=lambda c: c.merit, default=None)

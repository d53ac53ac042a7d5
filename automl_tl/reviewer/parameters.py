"""What the trials of a search say about each parameter, for every way of training on its own."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState

LEAST_TRIALS = 50
"""Scored trials of one way of training from which importances are told: PED-ANOVA looks at the best tenth, of which its
authors want five at least. Of twenty trials a parameter that means nothing came first."""
_BEST_SHARE = 0.1
_GOOD_SHARE = 0.25
_TRAINING = "training"


@dataclass(frozen=True)
class Parameter:
    """One parameter, over the trials that have it."""

    name: str
    importance: float | None
    """Share of what all of them matter together; None where Optuna cannot tell, or the best tenth is no tenth."""
    tried: tuple[Any, ...]
    """Every value, as the trials are ordered: the best first."""

    @property
    def good(self) -> tuple[Any, ...]:
        """The values of the best quarter."""
        return self.tried[: max(1, round(_GOOD_SHARE * len(self.tried)))]


@dataclass(frozen=True)
class TrainingReview:
    """The trials of one way of training."""

    training: str
    """A value of the search space's parameter "training"."""
    n_trials: int
    """That were scored."""
    parameters: tuple[Parameter, ...]
    """The most important one first; none where the trials are too few."""


def review_parameters(trials: Iterable[FrozenTrial], *, greater_is_better: bool) -> tuple[TrainingReview, ...]:
    """Return what scored trials say, by way of training, those with the most trials first.

    The space is conditional: what is trained in another way has other parameters. Importances are PED-ANOVA's (Watanabe
    et al. 2023, arXiv 2304.10255): how far the values of the best tenth of the trials differ from those of all.
    Optuna's fANOVA takes two minutes for 2,000 trials of 16 parameters, this half a second.

    Args:
        trials: of the study, the sweep's included.
        greater_is_better: the metric's direction.
    """
    scored = [t for t in trials if t.state == TrialState.COMPLETE and t.value is not None]
    ordered = sorted(scored, key=lambda t: -(t.value or 0.0) if greater_is_better else (t.value or 0.0))
    groups: dict[str, list[FrozenTrial]] = {}
    for trial in ordered:
        groups.setdefault(str(trial.params.get(_TRAINING, "")), []).append(trial)
    found = [_review(training, group, greater_is_better) for training, group in groups.items()]
    return tuple(sorted(found, key=lambda one: -one.n_trials))


def _review(training: str, trials: Sequence[FrozenTrial], greater_is_better: bool) -> TrainingReview:
    if len(trials) < LEAST_TRIALS:
        return TrainingReview(training, len(trials), ())
    importances = _importances(trials, greater_is_better)
    names = dict.fromkeys(name for trial in trials for name in trial.params if name != _TRAINING)
    values = {name: tuple(t.params[name] for t in trials if name in t.params) for name in names}
    varied = {name: some for name, some in values.items() if len(set(some)) > 1}
    total = sum(importances.get(name, 0.0) for name in varied)
    shares = {name: importances[name] / total for name in varied if name in importances} if total > 0 else {}
    found = [Parameter(name, shares.get(name), some) for name, some in varied.items()]
    return TrainingReview(training, len(trials), tuple(sorted(found, key=lambda one: -(one.importance or -1.0))))


@contextmanager
def _quiet() -> Iterator[None]:
    """Let Optuna say nothing meanwhile."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


@_quiet()
def _importances(trials: Sequence[FrozenTrial], greater_is_better: bool) -> Mapping[str, float]:
    """Return how far the values of the best tenth differ from all, by parameter; nothing where too many are as good.

    Optuna takes every trial that is as good as the last of the tenth for one of it.
    """
    best = max(1, round(_BEST_SHARE * len(trials)))
    if sum(trial.value == trials[best - 1].value for trial in trials) > best:
        return {}
    study = optuna.create_study(direction="maximize" if greater_is_better else "minimize")
    study.add_trials(list(trials))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(), normalize=False)
    return {name: float(value) for name, value in found.items() if name != _TRAINING}

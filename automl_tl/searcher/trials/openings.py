"""What is tried first: the recommendation, the runner-up, then every other cell of the matrix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from automl_tl.augment.policy import AugmentationPolicy
from automl_tl.lab.recommended import fine_tuning, from_pretrained
from automl_tl.learning.configuration import Configuration
from automl_tl.learning.recipe import LR_RATIO, MOST_EPOCHS, epochs_for
from automl_tl.searcher.session import Prepared
from automl_tl.searcher.space.limits import Limits
from automl_tl.searcher.space.search_space import Space
from automl_tl.searcher.task import Task
from automl_tl.searcher.trials.costs import Costs
from automl_tl.searcher.trials.frozen import too_much
from automl_tl.searcher.trials.sweep import Sweep
from automl_tl.strategies import FROZEN

SHARE_OF_TRIAL = 0.35
"""Share of the time for trials that one trial over all its folds may take."""
LONG_SHARE = 0.7
"""Share of the time for trials within which the first fine-tuning is lengthened, all folds and the refit together."""
UNLIKELY = 0.1
"""Probability of being the most accurate strategy below which `pretrained_initialization` is tried after the variations
of fine-tuning: on 100 photos of clothing it took 127 of 238 seconds of trials, for nothing."""
FOLDS_BY_SIZE = ((300, 5), (1000, 2))
"""Without a budget: pictures up to which a trained candidate is scored on so many folds; beyond them on one."""


def openings(prepared: Prepared, space: Space, limits: Limits, seconds: float | None) -> list[Configuration]:
    """Return what is tried first: the recommended strategy, the runner-up, every other one by its expectation.

    Frozen cells come last: the sweep has tried them already, and what is left of them is their best with further
    views of every picture. Of the stages that should learn, the first trial takes as many as there is time for, and
    goes round few pictures the more often, the more time there is. After the cells come variations of fine-tuning in
    one thing each, and then a training of everything that is UNLIKELY.

    Args:
        prepared: the data, what is known of them, the frozen candidates, and what training costs.
        space: what may be chosen.
        limits: of what may be used.
        seconds: for trials and the refit, or None.
    """
    task, found = prepared.task, prepared.assessment
    order = [found.choice.strategy, found.matrix.runner_up]
    order += [row.strategy for row in sorted(found.expectations.front, key=lambda row: -row.accuracy)]
    # Where every picture counts the same that costs much: on 277 blood cells of four classes fine-tuning reached .695
    # with classes that weigh the same, .814 without (cross-validated, by version 5 of the trainer).
    balanced = space.imbalanced and task.metric.classes_alike
    trained = [replace(c, balanced=balanced) for c in _trained(prepared, space, limits, seconds)]
    frozen = list(_frozen(task, prepared.sweep, space))
    rank = {strategy: position for position, strategy in reversed(list(enumerate(order)))}
    later = [c for c in trained if c.training != "fine_tuning" and found.choice.best.get(c.strategy, 0.0) < UNLIKELY]
    first = [c for c in trained if c not in later]
    cells = [*sorted(first, key=lambda c: rank[c.strategy]), *sorted(frozen, key=lambda c: rank[c.strategy])]
    variations = _variations(next((c for c in trained if c.training == "fine_tuning"), None), space)
    return [*cells, *variations, *later]


def _variations(tuned: Configuration | None, space: Space) -> Iterator[Configuration]:
    """Yield the recommended fine-tuning with one thing changed: what is worth knowing before TPE has its say.

    Stages as fast as the head are tried where few of them learn. With that rate for six or nine stages of
    EfficientNet-Lite1 and 2, on three data sets of ten pictures a class, four of six trials lost .12 to .55 of the
    validation accuracy, and one gained .06.
    """
    if tuned is None:
        return
    longer = min(3 * tuned.tuned.epochs // 2, MOST_EPOCHS)
    if longer > tuned.tuned.epochs and not space.long_epochs:  # else it is as long as there is time for
        yield replace(tuned, how=replace(tuned.tuned, epochs=longer))
    faster = max(1.0, tuned.tuned.lr_ratio / LR_RATIO)
    if faster >= LR_RATIO or tuned.tuned.unfrozen <= _last_third(max(tuned.cuts)):
        yield replace(tuned, how=replace(tuned.tuned, lr_ratio=faster))
    if space.augmented:
        policy = tuned.tuned.policy
        rotation = max(20.0, policy.rotation)
        stronger = replace(policy, rotation=rotation, scale=(0.8, 1.3), crop=0.5, colour=0.2, erase=0.25)
        yield replace(tuned, how=replace(tuned.tuned, policy=stronger))


def _frozen(task: Task, found: Sweep, space: Space) -> Iterator[Configuration]:
    for strategy in FROZEN:
        own = [o for o in found.outcomes if o.configuration.strategy == strategy]
        if own:
            best = max(own, key=lambda o: o.merit).configuration
            yield from _with_most_views(task, best, space)


def _with_most_views(task: Task, plain: Configuration, space: Space) -> Iterator[Configuration]:
    """Yield the candidate with the most views of every picture that are not too much to solve."""
    for views in reversed(space.views[1:]):
        richer = replace(plain, how=replace(plain.frozen, views=views))
        if too_much(task, richer) is None:
            yield richer
            return


def _trained(prepared: Prepared, space: Space, limits: Limits, seconds: float | None) -> Iterator[Configuration]:
    if space.training == ("frozen",):
        return
    task, found, costs = prepared.task, prepared.assessment, prepared.costs
    policy = None if space.augmented else AugmentationPolicy()
    late = found.evidence.late
    most = limits.largest_cut.get(late.backbone, late.n_stages)
    least, advised = _last_third(most), min(found.unfreezing.count, most)
    counts = dict.fromkeys(range(advised, least - 1, -1)) or {advised: None}
    tune = partial(fine_tuning, found, cut=most, policy=policy)
    some = [tune(unfrozen=count) for count in counts]
    first = next((c for c in some if seconds is None or _with_refit(task, costs, c) <= seconds), some[-1])
    yield first if seconds is None else _lengthened(task, costs, first, space.long_epochs, seconds)
    if most == late.n_stages:
        yield from_pretrained(found, policy=policy)
    for count in dict.fromkeys((advised, most)):
        if count > first.tuned.unfrozen:
            yield tune(unfrozen=count)


def _last_third(n_stages: int) -> int:
    return max(1, round(n_stages / 3))


def _lengthened(task: Task, costs: Costs, tuned: Configuration, longest: int, seconds: float) -> Configuration:
    """Return a fine-tuning with the most epochs, `longest` at most, for which LONG_SHARE of the time suffices."""
    folds = folds_to_score(task, costs, [tuned], seconds)
    for epochs in range(longest, tuned.tuned.epochs, -1):
        needed = folds * costs.seconds(tuned, task.n_trained, epochs) + costs.seconds(tuned, task.sample.n, epochs)
        if needed <= LONG_SHARE * seconds:
            return replace(tuned, how=replace(tuned.tuned, epochs=epochs))
    return tuned


def _with_refit(task: Task, costs: Costs, configuration: Configuration) -> float:
    """Return the seconds of one fold's training and of the refit on everything."""
    n = task.n_trained
    return costs.seconds(configuration, n) + costs.seconds(configuration, task.sample.n)


def folds_to_score(task: Task, costs: Costs, trained: Sequence[Configuration], seconds: float | None) -> int:
    """Return on how many folds trained candidates are scored.

    Args:
        task: the data.
        costs: of training.
        trained: what is tried first.
        seconds: for all trials, or None.
    """
    available = len(np.unique(task.sample.folds))
    if seconds is None:
        wanted = next((folds for size, folds in FOLDS_BY_SIZE if task.sample.n <= size), 1)
    elif not trained:
        wanted = 1
    else:
        n, how = task.n_trained, trained[0].tuned
        epochs = min(how.all_epochs, how.head_epochs + epochs_for(task.sample.n))  # a lengthened one has as many folds
        wanted = int(SHARE_OF_TRIAL * seconds / max(costs.seconds(trained[0], n, epochs), 1e-9))
    return int(np.clip(wanted, 1, available))

"""The last step: the tested model learns from the test part as well, where there is time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from automl_tl.errors import sentence
from automl_tl.lab.extraction import extract_all
from automl_tl.lab.sample import Sample, draw_sample
from automl_tl.model.model import Model
from automl_tl.searcher.delivery.members import Refitted, refitted
from automl_tl.searcher.delivery.models import calibrated_model
from automl_tl.searcher.delivery.place import place_of
from automl_tl.searcher.delivery.refit import NEARLY_ENOUGH, frozen_first
from automl_tl.searcher.first_look import MOST_FOLDS, TRAINING_PARTS
from automl_tl.searcher.task import Computed
from automl_tl.searcher.trials.allowance import Allowance
from automl_tl.searcher.trials.deadline import EXPORT_SECONDS
from automl_tl.searcher.trials.loop import Loop
from automl_tl.searcher.trials.outcome import Outcome
from automl_tl.spare_time import LateError

_NO_TIME = "The delivered model is the tested one: there was no time to learn from the test part as well."


def whole_or_tested(loop: Loop, chosen: Sequence[Outcome], shares: Sequence[float], tested: Model) -> tuple[Model, str]:
    """Return `_learn_from_everything`'s model, or the tested one, written already, where anything goes wrong."""
    try:
        return _learn_from_everything(loop, chosen, shares, tested)
    except KeyboardInterrupt:
        return tested, "The delivered model is the tested one: learning from the test part was interrupted."
    except Exception as error:  # whatever a plugin's code raises; the tested model is there
        reason = sentence(error)
        return tested, f"The delivered model is the tested one, since learning from the test part failed: {reason}"


def _learn_from_everything(
    loop: Loop, chosen: Sequence[Outcome], shares: Sequence[float], tested: Model
) -> tuple[Model, str]:
    """Return the model refitted on training and test pictures together where there is time, else the tested one."""
    lab, task, deadline = loop.lab, loop.task, loop.session.deadline
    if not loop.prepared.learns_from_everything:
        return tested, "The delivered model is the tested one: not all training pictures were looked at either."
    parts = (*TRAINING_PARTS, "test")
    whole = draw_sample(lab.dataset, len(lab.dataset.frame), lab.seed, parts=parts, most_folds=MOST_FOLDS)
    needed = _everything_seconds(loop, chosen, whole.n) + 1.0
    if loop.interrupted or deadline.left - EXPORT_SECONDS < needed:
        return tested, _NO_TIME
    names = list(dict.fromkeys(o.configuration.backbone for o in chosen))
    spare = deadline.spare(reserved=EXPORT_SECONDS)
    try:
        features, _ = extract_all(lab, names, whole.pictures, spare)
    except LateError:
        return tested, _NO_TIME
    everything = replace(task, sample=whole, features=features, computed=Computed())

    place = place_of(loop.session, loop.prepared)

    def refit(outcome: Outcome) -> Refitted:
        seconds = deadline.left - EXPORT_SECONDS if deadline.is_set else None
        allowance = Allowance(seconds, loop.session.options.max_memory)
        return refitted(everything, outcome, loop.candidates.reference.l2, place, allowance=allowance)

    refits = frozen_first(chosen, refit)
    if not all(f.is_refit for f in refits):
        return tested, "The delivered model is the tested one: the refit on everything was rejected."
    if min(f.share for f in refits) < NEARLY_ENOUGH:
        return tested, "The delivered model is the tested one: learning from the test part took longer than foreseen."
    model = calibrated_model(task, everything, chosen, shares, [f.member for f in refits], spare)
    model = replace(model, details=_after(tested.details, whole, refits))
    return model, f"The delivered model has learned from all {whole.n:,} pictures, those it was tested on included."


def _after(details: Mapping[str, Any], whole: Sample, refits: Sequence[Refitted]) -> dict[str, Any]:
    """Return what the bundle says: what this model has learned from, and that its figures are of the tested one."""
    before = details["data"]
    learned = {"n_training": whole.n, "per_class": whole.counts, "learned_from": [one.n for one in refits]}
    figures = {**details["metrics"], "of": {"this_model": False, "n_training": before["n_training"]}}
    return {**details, "metrics": figures, "data": {**before, **learned, "learned_from_test": True}}


def _everything_seconds(loop: Loop, chosen: Sequence[Outcome], n: int) -> float:
    """Return what learning from all `n` pictures takes: new features in every view, decoding, solving, training."""
    lab, task = loop.lab, loop.task
    each = {
        name: loop.prepared.costs.pace * lab.picture_seconds(name, task.sample.pictures)
        for name in {outcome.configuration.backbone for outcome in chosen}
    }
    total = (n - task.sample.n) * sum(each.values())
    for outcome in chosen:
        configuration = outcome.configuration
        if not configuration.is_trained:
            views = len(task.views(configuration.frozen.views))
            total += views * (n - task.sample.n) * each[configuration.backbone] + 2 * outcome.seconds
        else:
            total += n * each[configuration.backbone] / 2 + loop.prepared.costs.seconds(configuration, n)
    return total

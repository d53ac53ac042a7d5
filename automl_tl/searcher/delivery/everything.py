"""The last step: the tested model learns from the test part as well, as many of its members as there is time for."""

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
from automl_tl.searcher.delivery.refit import frozen_first
from automl_tl.searcher.first_look import MOST_FOLDS, TRAINING_PARTS
from automl_tl.searcher.task import Computed
from automl_tl.searcher.trials.allotment import seconds_to_begin
from automl_tl.searcher.trials.allowance import Allowance
from automl_tl.searcher.trials.deadline import EXPORT_SECONDS
from automl_tl.searcher.trials.loop import Loop
from automl_tl.searcher.trials.outcome import Outcome
from automl_tl.spare_time import LateError

LEAST_SHARE = 0.2
"""Of a schedule; where the clock has left less of it, the member stays as it was tested."""
_INTERRUPTED = "The delivered model is the tested one: learning from the test part was interrupted."
_NO_TIME = "The delivered model is the tested one: there was no time to learn from the test part as well."


def whole_or_tested(
    loop: Loop, chosen: Sequence[Outcome], shares: Sequence[float], refits: Sequence[Refitted], tested: Model
) -> tuple[Model, str]:
    """Return `_learn_from_everything`'s model, or the tested one, written already, where anything goes wrong."""
    if loop.interrupted:
        return tested, _INTERRUPTED
    try:
        return _learn_from_everything(loop, chosen, shares, refits, tested)
    except KeyboardInterrupt:
        return tested, _INTERRUPTED
    except Exception as error:  # whatever a plugin's code raises; the tested model is there
        reason = sentence(error)
        return tested, f"The delivered model is the tested one, since learning from the test part failed: {reason}"


def _learn_from_everything(
    loop: Loop, chosen: Sequence[Outcome], shares: Sequence[float], refits: Sequence[Refitted], tested: Model
) -> tuple[Model, str]:
    """Return the model refitted on training and test pictures together where there is time, else the tested one.

    A member for which there is no time, or whose refit cannot be used, stays as it was tested.
    """
    lab, task, deadline = loop.lab, loop.task, loop.session.deadline
    if not loop.prepared.learns_from_everything:
        return tested, "The delivered model is the tested one: not all training pictures were looked at either."
    parts = (*TRAINING_PARTS, "test")
    whole = draw_sample(lab.dataset, len(lab.dataset.frame), lab.seed, parts=parts, most_folds=MOST_FOLDS)
    learning = _in_time(loop, chosen, whole.n)
    if not learning:
        return tested, _NO_TIME
    names = list(dict.fromkeys(o.configuration.backbone for o in learning))
    spare = deadline.spare(reserved=EXPORT_SECONDS)
    try:
        features, _ = extract_all(lab, names, whole.pictures, spare)
    except LateError:
        return tested, _NO_TIME
    everything = replace(task, sample=whole, features=features, computed=Computed())

    place = place_of(loop.session, loop.prepared)
    states = {id(outcome): before.state for outcome, before in zip(chosen, refits, strict=True)}

    def refit(outcome: Outcome) -> Refitted:
        seconds = deadline.left - EXPORT_SECONDS if deadline.is_set else None
        allowance, l2 = Allowance(seconds, loop.session.options.max_memory), loop.candidates.reference.l2
        return refitted(everything, outcome, l2, place, state=states[id(outcome)], allowance=allowance)

    learned = frozen_first(learning, refit)
    anew = {id(o): f for o, f in zip(learning, learned, strict=True) if f.is_refit and f.share >= LEAST_SHARE}
    if not anew:
        rejected = "the refit on everything was rejected"
        why = "learning from the test part took longer than foreseen" if learned[0].is_refit else rejected
        return tested, f"The delivered model is the tested one: {why}."
    members = [anew.get(id(outcome), before) for outcome, before in zip(chosen, refits, strict=True)]
    model = calibrated_model(task, everything, chosen, shares, [one.member for one in members], spare)
    return replace(model, details=_after(tested.details, whole, members)), _said(members, whole.n)


def _in_time(loop: Loop, chosen: Sequence[Outcome], n: int) -> Sequence[Outcome]:
    """Return which candidates there is time to refit on all `n` pictures: all, the frozen ones, or none."""
    left = loop.session.deadline.left - EXPORT_SECONDS - 1.0
    frozen = [outcome for outcome in chosen if not outcome.configuration.is_trained]
    return next((some for some in (chosen, frozen) if some and _everything_seconds(loop, some, n) <= left), ())


def _said(members: Sequence[Refitted], n: int) -> str:
    """Return in a sentence what the delivered model has learned from."""
    fewest = min(one.n for one in members)
    if fewest == n:
        return f"The delivered model has learned from all {n:,} pictures, those it was tested on included."
    return (
        f"One of the two networks that are delivered together has learned from all {n:,} pictures, those they were "
        f"tested on included; the other stays as it was tested, from {fewest:,} of them."
    )


def _after(details: Mapping[str, Any], whole: Sample, refits: Sequence[Refitted]) -> dict[str, Any]:
    """Return what the bundle says: what this model has learned from, and that its figures are of the tested one."""
    before = details["data"]
    learned = {"n_training": whole.n, "per_class": whole.counts, "learned_from": [one.n for one in refits]}
    figures = {**details["metrics"], "of": {"this_model": False, "n_training": before["n_training"]}}
    return {**details, "metrics": figures, "data": {**before, **learned, "learned_from_test": True}}


def _everything_seconds(loop: Loop, chosen: Sequence[Outcome], n: int) -> float:
    """Return the seconds that learning from `n` pictures needs: features in every view, decoding, solving, training."""
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
            total += n * each[configuration.backbone] / 2 + seconds_to_begin(loop.prepared.costs, configuration, n)
    return total

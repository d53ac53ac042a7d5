"""From candidates to the delivered model: choose, refit, calibrate, test once, learn from everything, write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from automl_tl.errors import PictureError, sentence
from automl_tl.features.extract import batches
from automl_tl.lab.extraction import extract_all
from automl_tl.lab.lab import Lab
from automl_tl.lab.sample import draw_sample
from automl_tl.learning.estimate import Estimate, combine_gain
from automl_tl.model.bundle import save_bundle
from automl_tl.model.evaluate import Evaluation, evaluate_probabilities
from automl_tl.model.forward import forward, share_stages
from automl_tl.model.member import Member
from automl_tl.model.model import Model
from automl_tl.model.novelty import Novelty, measure_novelty
from automl_tl.searcher.delivery.ensemble import mixture_shares, own_temperature, together
from automl_tl.searcher.delivery.members import Fitted, frozen_member, kept_member, refitted, rescaled
from automl_tl.searcher.delivery.refit import frozen_first, refit_chosen
from automl_tl.searcher.preparation import MOST_FOLDS, TRAINING_PARTS, Prepared, Session
from automl_tl.searcher.task import Kept, Task
from automl_tl.searcher.trials.comparison import Comparison, accuracy_gain
from automl_tl.searcher.trials.deadline import EXPORT_SECONDS
from automl_tl.searcher.trials.loop import Loop
from automl_tl.searcher.trials.outcome import Outcome

MOST_SHOWN = 5
"""Comparisons in the result, besides those of the members."""
RIDGE_TEMPERATURE = 0.2
"""Of ridge scores on +-1 targets, before anything was measured."""
NOVELTY_PICTURES = 100
ONE_MEMBER, SECOND_MEMBER = 1.2, 1.5
"""What a model of one or two members is taken to need for a picture, over what its features took: a trained member
mostly shares its first stages with a frozen one."""


@dataclass(frozen=True, eq=False)
class Delivered:
    """The model that is delivered, and what is known of it."""

    model: Model
    winner: Outcome
    chosen: tuple[Outcome, ...]
    comparisons: tuple[Comparison, ...]
    validation: Estimate
    test: Evaluation | None
    n_test: int
    notes: tuple[str, ...]


def final_seconds(session: Session, prepared: Prepared) -> float:
    """Return what comes after the trials, the refit excepted, with the slowest backbone: tests, novelty, writing."""
    lab, task = session.lab, prepared.task
    n_test = len(_part(lab, "test"))
    passes = n_test * (2 if prepared.learns_from_everything else 1) + min(NOVELTY_PICTURES, task.sample.n)
    each = max(lab.picture_seconds(name, task.sample.pictures) for name in task.features)
    return EXPORT_SECONDS + 1.0 + (SECOND_MEMBER if session.options.combines else ONE_MEMBER) * passes * each


def deliver(loop: Loop) -> Delivered:
    """Choose, refit, calibrate and test; write the bundle."""
    lab, folder = loop.session.lab, loop.session.folder
    ranked = _ranked(loop)
    chosen, shares = _choose(loop, ranked)
    with lab.monitor.activity("Refitting on every training picture"):
        fitted, notes = refit_chosen(loop, chosen)
    chosen, shares = chosen[: len(fitted)], shares if len(fitted) == len(chosen) else [1.0]
    notes += _not_as_asked(loop, chosen[0])
    model = _model(loop, loop.task, chosen, shares, [f.member for f in fitted])
    save_bundle(model, folder.bundle)  # whatever happens to the test, the refit is not lost
    test, n_test = None, 0
    if not _part(lab, "test").empty:
        with lab.monitor.activity("Testing once on pictures that nothing has seen"):
            try:
                test, n_test = _test(lab, model)
            except PictureError as error:
                notes.append(f"The model was not tested, since the test pictures cannot be read any more: {error}")
    validation = validation_estimate(loop, chosen, shares)
    details = _details(loop, model, chosen, validation, test, n_test)
    model = replace(model, details=details)
    save_bundle(model, folder.bundle)
    if lab.held_aside:
        with lab.monitor.activity("Learning from the test part as well"):
            last, note = _whole_or_tested(loop, chosen, shares, model)
        notes.append(note)
        if last is not model:
            model = replace(last, details=details)
            save_bundle(model, folder.bundle)
    shown = [c for position, c in enumerate(ranked) if position < MOST_SHOWN or c.outcome in chosen]
    return Delivered(model, chosen[0], tuple(chosen), tuple(shown), validation, test, n_test, tuple(notes))


def interim_model(task: Task, outcome: Outcome) -> Model:
    """Return a candidate as a model while the search goes on: as its trial left it, or fitted on everything."""
    configuration = outcome.configuration
    trained = configuration.is_trained
    member = kept_member(task, configuration, outcome.state) if trained else frozen_member(task, configuration)
    temperature = own_temperature(task, outcome)
    details = {"configuration": configuration.to_dict(), "metrics": {"validation": outcome.value}}
    return _assembled(task, (member,), temperature, None, details)


def first_interim_model(task: Task, member: Member) -> Model:
    """Return what is written as soon as anything can be fitted."""
    return _assembled(task, (member,), RIDGE_TEMPERATURE, None, {})


def validation_estimate(loop: Loop, chosen: Sequence[Outcome], shares: Sequence[float]) -> Estimate:
    """Return the expected accuracy: the reference's, corrected for its choice, and the model's expected gain on it."""
    task, reference = loop.task, loop.candidates.reference
    estimates = loop.prepared.assessment.expectations.estimates
    base = estimates.get(reference.outcome.configuration.strategy) or next(iter(estimates.values()))
    gain, sd = accuracy_gain(task, reference, _as_one(task, chosen, shares), loop.candidates.priors)
    errors = max(1 - base.accuracy, 1 / task.sample.n)
    return combine_gain(base, gain / errors, sd / errors)


def _as_one(task: Task, chosen: Sequence[Outcome], shares: Sequence[float]) -> Outcome:
    """Return one candidate as it is, or the ensemble, of which as much is expected beforehand as of its trained one."""
    if len(chosen) == 1:
        return chosen[0]
    trained = next((o.configuration for o in chosen if o.configuration.is_trained), chosen[0].configuration)
    return replace(together(task, chosen, shares), configuration=trained)


def _ranked(loop: Loop) -> list[Comparison]:
    """Return the comparisons of every candidate that may be delivered, the best first."""
    known = loop.candidates.ranked()
    ranked = [c for c in known if c.outcome.state or not c.outcome.configuration.is_trained]
    wanted, broken = loop.session.options.strategies, loop.study.broken_backbones
    sound = [c for c in ranked if c.outcome.configuration.backbone not in broken] or ranked
    allowed = [c for c in sound if not wanted or c.outcome.configuration.strategy in wanted]
    return allowed or [c for c in ranked if c.outcome is loop.candidates.reference.outcome]


def _not_as_asked(loop: Loop, best: Outcome) -> list[str]:
    """Return a note where nothing of the strategies that were asked for could be finished."""
    wanted = loop.session.options.strategies
    if not wanted or best.configuration.strategy in wanted:
        return []
    names, longer = " or ".join(wanted), "give a longer --budget; " if loop.session.deadline.is_set else ""
    return [
        f"Nothing of {names} could be finished, so the best candidate of the sweep is delivered: {longer}"
        "the leaderboard says what stood in the way."
    ]


def _choose(loop: Loop, ranked: Sequence[Comparison]) -> tuple[list[Outcome], list[float]]:
    """Return the chosen candidates, the best first, and their shares."""
    best = ranked[0].outcome
    partner = _partner([c.outcome for c in ranked])
    if partner is None or not loop.session.options.combines:
        return [best], [1.0]
    pair = [best, partner]
    shares = mixture_shares(loop.task, pair)
    return [pair[i] for i in shares], list(shares.values())


def _partner(ranked: Sequence[Outcome]) -> Outcome | None:
    """Return the best candidate of the other kind than the very best, trained or frozen, if there is one.

    The two kinds err on different pictures, which two heads on frozen features hardly do.
    """
    kind = ranked[0].configuration.is_trained
    return next((outcome for outcome in ranked if outcome.configuration.is_trained != kind), None)


def _model(
    loop: Loop, task: Task, chosen: Sequence[Outcome], shares: Sequence[float], members: Sequence[Member]
) -> Model:
    """Return the calibrated model: of several members each has its own temperature folded into its head."""
    temperatures = [own_temperature(loop.task, outcome) for outcome in chosen]
    if len(members) == 1:
        calibrated, temperature = tuple(members), temperatures[0]
    else:
        calibrated = tuple(
            rescaled(member, 1 / own, share)
            for member, own, share in zip(members, temperatures, shares, strict=True)
        )  # fmt: skip
        temperature = 1.0
    novelty = _novelty(loop.task, calibrated[0])
    return _assembled(task, calibrated, temperature, novelty, {})


def _assembled(
    task: Task, members: tuple[Member, ...], temperature: float, novelty: Novelty | None, details: Mapping[str, Any]
) -> Model:
    return Model(share_stages(members), task.sample.classes, temperature, task.fit, novelty, details)


def _novelty(task: Task, member: Member) -> Novelty | None:
    rows = task.sample.subset(NOVELTY_PICTURES, task.seed)[:NOVELTY_PICTURES]
    pictures = [task.sample.pictures[row] for row in rows]
    if len(pictures) < 2:
        return None
    threads = task.networks.engine.threads
    how = member.preprocessing
    parts = [forward([member], {how: images})[0][1] for _, images in batches(pictures, how, 32, threads)]
    return measure_novelty(np.concatenate([part.numpy() for part in parts]), task.seed)


def _test(lab: Lab, model: Model) -> tuple[Evaluation | None, int]:
    frame = _part(lab, "test")
    frame = frame[frame["label"].isin(model.classes)]
    if frame.empty:
        return None, 0
    position = {label: i for i, label in enumerate(model.classes)}
    y = frame["label"].map(position).to_numpy(np.int64)
    probabilities = model.probabilities([Path(path) for path in frame["path"]])
    return evaluate_probabilities(y, probabilities, model.classes), len(frame)


def _part(lab: Lab, name: str) -> pd.DataFrame:
    frame: pd.DataFrame = lab.dataset.frame
    return frame[frame["split"] == name]


def _whole_or_tested(
    loop: Loop, chosen: Sequence[Outcome], shares: Sequence[float], tested: Model
) -> tuple[Model, str]:
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
    lab, task, deadline = loop.session.lab, loop.task, loop.session.deadline
    if not loop.prepared.learns_from_everything:
        return tested, "The delivered model is the tested one: not all training pictures were looked at either."
    parts = (*TRAINING_PARTS, "test")
    whole = draw_sample(lab.dataset, len(lab.dataset.frame), lab.seed, parts=parts, most_folds=MOST_FOLDS)
    needed = _everything_seconds(loop, chosen, whole.n) + 1.0
    if loop.interrupted or deadline.left - EXPORT_SECONDS < needed:
        return tested, "The delivered model is the tested one: there was no time to learn from the test part as well."
    names = list(dict.fromkeys(o.configuration.backbone for o in chosen))
    features, _ = extract_all(lab, names, whole.pictures)
    everything = replace(task, sample=whole, features=features, kept=Kept())

    def refit(outcome: Outcome) -> Fitted:
        limit = deadline.left - EXPORT_SECONDS if deadline.is_set else None
        return refitted(everything, outcome, loop.candidates.reference.l2, lab.executor, limit=limit)

    fitted = frozen_first(chosen, refit)
    if not all(f.is_refit for f in fitted):
        return tested, "The delivered model is the tested one: the refit on everything was rejected."
    model = _model(loop, everything, chosen, shares, [f.member for f in fitted])
    return model, f"The delivered model has learned from all {whole.n:,} pictures, those it was tested on included."


def _everything_seconds(loop: Loop, chosen: Sequence[Outcome], n: int) -> float:
    """Return what learning from all `n` pictures takes: new features in every view, decoding, solving, training."""
    lab, task = loop.session.lab, loop.task
    each = {
        name: lab.picture_seconds(name, task.sample.pictures)
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


def _details(
    loop: Loop,
    model: Model,
    chosen: Sequence[Outcome],
    validation: Estimate,
    test: Evaluation | None,
    n_test: int,
) -> dict[str, Any]:
    lab = loop.session.lab
    names = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "ece")
    return {
        "metrics": {
            "validation": {"accuracy": validation.accuracy, "interval": list(validation.interval)},
            "test": None if test is None else {"n": n_test, **{name: getattr(test, name) for name in names}},
        },
        "data": {
            "fingerprint": lab.dataset.fingerprint,
            "n_training": loop.task.sample.n,
            "n_classes": len(model.classes),
        },
        "configuration": {
            "seed": lab.seed,
            "metric": lab.metric.name,
            "members": [outcome.configuration.to_dict() for outcome in chosen],
        },
    }

"""From candidates to the delivered model: choose, refit, calibrate, test once, learn from everything, write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from automl_tl.errors import AutomlTlError
from automl_tl.lab.lab import Lab
from automl_tl.lab.sample import Sample
from automl_tl.learning.configuration import Configuration
from automl_tl.learning.estimate import Estimate
from automl_tl.learning.trainer import TRAINER_VERSION
from automl_tl.model.bundle import load_bundle, save_bundle
from automl_tl.model.evaluation import Evaluation
from automl_tl.model.model import Model
from automl_tl.searcher.delivery.ensemble import likeliest_partner, mixture_shares, together
from automl_tl.searcher.delivery.everything import whole_or_tested
from automl_tl.searcher.delivery.models import NOVELTY_PICTURES, calibrated_model
from automl_tl.searcher.delivery.refit import refit_chosen
from automl_tl.searcher.delivery.unseen import in_time, tested, unseen_pictures
from automl_tl.searcher.record import TEST, kept_evaluation
from automl_tl.searcher.run_folder import RunFolder
from automl_tl.searcher.session import Prepared, Session
from automl_tl.searcher.task import Task
from automl_tl.searcher.trials.comparison import Comparison
from automl_tl.searcher.trials.deadline import EXPORT_SECONDS
from automl_tl.searcher.trials.expected import expected_of
from automl_tl.searcher.trials.loop import Loop
from automl_tl.searcher.trials.outcome import Outcome

MOST_SHOWN = 5
"""Comparisons in the result, besides those of the members."""
_STAYS = "The model of the session before stays: it has learned from more pictures than this session had time for."
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
    notes: tuple[str, ...]


def final_seconds(session: Session, prepared: Prepared) -> float:
    """Return what comes after the trials, the refit excepted, with the slowest backbone: tests, novelty, writing."""
    lab, task = session.lab, prepared.task
    n_test = len(unseen_pictures(lab))
    passes = n_test * (2 if prepared.learns_from_everything else 1) + min(NOVELTY_PICTURES, task.sample.n)
    each = prepared.costs.slowdown * max(lab.picture_seconds(name, task.sample.pictures) for name in task.features)
    return EXPORT_SECONDS + 1.0 + (SECOND_MEMBER if session.options.combines else ONE_MEMBER) * passes * each


def deliver(loop: Loop) -> Delivered:
    """Choose, refit, calibrate and test; write the bundle."""
    lab, folder = loop.lab, loop.session.folder
    ranked = _ranked(loop)
    chosen, shares = _choose(loop, ranked)
    with lab.clock("refit"), lab.monitor.activity("Refitting on every training picture"):
        refits, notes = refit_chosen(loop, chosen)
    chosen, shares = chosen[: len(refits)], shares if len(refits) == len(chosen) else [1.0]
    notes += _not_as_asked(loop, chosen[0])
    with lab.clock("novelty"):
        spare = loop.session.deadline.spare(reserved=EXPORT_SECONDS)
        model = calibrated_model(loop.task, loop.task, chosen, shares, [f.member for f in refits], spare)
    members, learned_from = [outcome.configuration for outcome in chosen], [refit.n for refit in refits]
    validation = validation_estimate(loop, chosen, shares)
    metrics = {"accuracy": validation.accuracy, "interval": list(validation.interval)}
    say = partial(bundle_details, lab, loop.task.sample, members, learned_from, metrics)
    if not folder.is_finished:  # whatever happens to the test, the refit is not lost; else there is a tested model
        _save(replace(model, details=say(None)), folder, members, learned_from)
    with lab.clock("test"):
        test, untested = tested(lab, model, in_time(loop.session.deadline))
    notes += untested
    model = replace(model, details=say(test))
    is_new = _save(model, folder, members, learned_from)
    if lab.held_aside:
        with lab.clock("learning from the test part"), lab.monitor.activity("Learning from the test part as well"):
            last, note = whole_or_tested(loop, chosen, shares, refits, model)
        notes.append(note)
        if last is not model:
            model = last
            is_new = _save(model, folder, members, last.details["data"]["learned_from"])
    if not is_new:
        stays = _that_stays(loop, model, ranked)
        if stays is None:
            save_bundle(model, folder.bundle)
        else:
            model, chosen = stays
            test, validation = kept_evaluation(folder, TEST), validation_estimate(loop, chosen, model.weights)
            notes.append(_STAYS)
    shown = [c for position, c in enumerate(ranked) if position < MOST_SHOWN or c.outcome in chosen]
    return Delivered(model, chosen[0], tuple(chosen), tuple(shown), validation, test, tuple(notes))


def _save(model: Model, folder: RunFolder, members: Sequence[Configuration], learned_from: Sequence[int]) -> bool:
    """Write a model and return True, unless an earlier session's has learned from more pictures."""
    if folder.is_finished and _has_learned_more(*folder.bundle_learned_from(), members, learned_from):
        return False
    save_bundle(model, folder.bundle)
    return True


def _has_learned_more(
    before: Sequence[Configuration], before_from: Sequence[int], now: Sequence[Configuration], now_from: Sequence[int]
) -> bool:
    """Return whether a model has learned from more pictures: of other members the one that has the fewest says it."""
    if not before:
        return False
    if list(before) == list(now):
        return sum(before_from) > sum(now_from)
    return min(before_from) > min(now_from)


def _that_stays(loop: Loop, model: Model, ranked: Sequence[Comparison]) -> tuple[Model, list[Outcome]] | None:
    """Return the model of the session before and its candidates; None where one is unknown, or it cannot be read.

    Args:
        loop: of this session.
        model: that this session would deliver.
        ranked: every candidate that is known in this session.
    """
    folder, known = loop.session.folder, {c.outcome.configuration: c.outcome for c in reversed(ranked)}
    members, _ = folder.bundle_learned_from()
    if not all(member in known for member in members):
        return None
    try:
        return load_bundle(folder.bundle, str(model.device)), [known[member] for member in members]
    except AutomlTlError:
        return None


def validation_estimate(loop: Loop, chosen: Sequence[Outcome], shares: Sequence[float]) -> Estimate:
    """Return the accuracy that is expected of a model of some candidates."""
    trained = sum(share for one, share in zip(chosen, shares, strict=True) if one.configuration.is_trained)
    one = _as_one(loop.task, chosen, shares)
    return expected_of(loop.session, loop.prepared, loop.candidates, one, trained)


def _as_one(task: Task, chosen: Sequence[Outcome], shares: Sequence[float]) -> Outcome:
    """Return one candidate as it is, or the ensemble, of which as much is expected beforehand as of its trained one."""
    if len(chosen) == 1:
        return chosen[0]
    trained = next((o for o in chosen if o.configuration.is_trained), chosen[0])
    return replace(together(task, chosen, shares), configuration=trained.configuration, drawn=trained.drawn)


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
    partner = _partner(loop.task, [c.outcome for c in ranked])
    if partner is None or not loop.session.options.combines:
        return [best], [1.0]
    pair = [best, partner]
    shares = mixture_shares(loop.task, pair)
    return [pair[i] for i in shares], list(shares.values())


def _partner(task: Task, ranked: Sequence[Outcome]) -> Outcome | None:
    """Return the candidate that is delivered with the very best one, if there is one that errs on other pictures.

    A frozen one has the best trained one as its partner; where there is none, a frozen one of another backbone. A
    trained one has the best frozen one of whichever backbone the two are likeliest right with: on draws of three data
    sets of ten pictures a class, fine-tuning with its own backbone's frozen partner reached .722, with those of two
    others .738 and .731; the frozen ones alone .699 to .728.
    """
    best, others = ranked[0], ranked[1:]
    trained = [one for one in others if one.configuration.is_trained]
    if trained and not best.configuration.is_trained:
        return trained[0]
    rivals: dict[str, Outcome] = {}
    for one in others:
        if not one.configuration.is_trained:
            rivals.setdefault(one.configuration.backbone, one)
    if not best.configuration.is_trained:
        rivals.pop(best.configuration.backbone, None)
    return likeliest_partner(task, best, list(rivals.values()))


def bundle_details(
    lab: Lab,
    sample: Sample,
    members: Sequence[Configuration],
    learned_from: Sequence[int],
    validation: Mapping[str, Any],
    test: Evaluation | None,
) -> dict[str, Any]:
    """Return what a bundle says of itself.

    Args:
        lab: where it was made.
        sample: the training pictures.
        members: of the model.
        learned_from: pictures that each of them has learned from.
        validation: what is expected of it, by name.
        test: of it.
    """
    return {
        "metrics": {
            "validation": dict(validation),
            "test": None if test is None else test.numbers,
            "of": {"this_model": True, "n_training": sample.n},
        },
        "data": {
            "fingerprint": lab.dataset.fingerprint,
            "n_training": sample.n,
            "n_classes": len(sample.classes),
            "per_class": sample.counts,
            "learned_from": list(learned_from),
        },
        "configuration": {
            "seed": lab.seed,
            "metric": lab.metric.name,
            "trainer": TRAINER_VERSION,
            "members": [configuration.to_dict() for configuration in members],
        },
    }

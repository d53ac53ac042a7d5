"""A loop of trials as it begins: with its study, what is known already, and what is tried first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from optuna.trial import FrozenTrial, TrialState

from automl_tl.learning.configuration import Configuration
from automl_tl.learning.recipe import long_epochs_for
from automl_tl.learning.trainer import TRAINER_VERSION
from automl_tl.model.bundle import save_bundle
from automl_tl.searcher.delivery.deliver import final_seconds
from automl_tl.searcher.delivery.models import interim_model
from automl_tl.searcher.first_look import n_training
from automl_tl.searcher.run_folder import SAMPLE, RunFolder
from automl_tl.searcher.session import Prepared, Session
from automl_tl.searcher.space.search_space import Space, outside
from automl_tl.searcher.space.space_for import space_for
from automl_tl.searcher.task import Task
from automl_tl.searcher.trials.allotment import Allotment
from automl_tl.searcher.trials.attributes import PICTURES
from automl_tl.searcher.trials.candidates import Candidates
from automl_tl.searcher.trials.checking import check_space
from automl_tl.searcher.trials.earlier import is_earlier
from automl_tl.searcher.trials.frozen import with_merit
from automl_tl.searcher.trials.journal import damaged, open_storage, read_trials
from automl_tl.searcher.trials.loop import Loop
from automl_tl.searcher.trials.openings import folds_to_score, openings
from automl_tl.searcher.trials.outcome import Outcome
from automl_tl.searcher.trials.study import Study
from automl_tl.strategies import FROZEN


def check_kept(folder: RunFolder) -> None:
    """Raise OptionError where what a run has kept is damaged, or does not fit together: before the work is begun."""
    space, trials = folder.known_space(), read_trials(folder.journal)
    if not _are_of_sample(trials, folder):
        raise folder.damaged(SAMPLE)  # the study of another sample would be gone on with
    if space is not None:
        _check_of_space(trials, space, folder)


def _check_of_space(trials: Sequence[FrozenTrial], space: Space, folder: RunFolder) -> None:
    """Raise OptionError where trials are of another search space than their run's."""
    try:
        check_space(trials, space)
    except ValueError as error:
        raise damaged(folder.journal, error) from error


def _are_of_sample(trials: Sequence[FrozenTrial], folder: RunFolder) -> bool:
    """Return whether trials are of the sample that a run looks at; those of earlier versions do not say of which."""
    looked_at, larger = folder.sample_size, folder.growing_to
    sized = [trial for trial in trials if PICTURES in trial.user_attrs]
    sizes = {trial.user_attrs[PICTURES] for trial in sized}
    now = {trial.user_attrs[PICTURES] for trial in sized if not is_earlier(trial)}
    return not sizes or (looked_at in sizes and now <= {looked_at, larger})


def begin_loop(session: Session, prepared: Prepared) -> Loop:
    """Return the loop with its study: a new one is told of the sweep and given the openings."""
    task, options, folder = prepared.task, session.options, session.folder
    space, greater = folder.space(_today(session, prepared)), task.metric.sign > 0
    study = Study(open_storage(folder.journal), space, options.seed, greater_is_better=greater, pictures=task.sample.n)
    _check_of_space(study.trials, space, folder)  # a journal may have more studies than the one that is gone on with
    return _begun(session, prepared, study)


def begin_again(before: Loop, prepared: Prepared, carried: Sequence[Configuration]) -> Loop:
    """Return the loop on a larger sample, in the study of the one before.

    Args:
        before: of the smaller sample.
        prepared: of the larger one.
        carried: what is tried first; then those openings that the smaller sample had no time for.
    """
    before.study.grow(prepared.task.sample.n)
    tried = [outcome.configuration for outcome in before.candidates.outcomes]
    fallback = before.allotment.refit_seconds(None)
    return _begun(before.session, prepared, before.study, carried, tried, fallback)


def _begun(
    session: Session, prepared: Prepared, study: Study, carried: Sequence[Configuration] = (),
    tried: Sequence[Configuration] = (), fallback: float = 0.0,
) -> Loop:  # fmt: skip
    """Return the loop in a study; see `begin_again`, and `Allotment` for the fallback's seconds."""
    options, folder, sweep = session.options, session.folder, prepared.sweep
    reserved = final_seconds(session, prepared)
    left = session.deadline.left - reserved if session.deadline.is_set else None
    first = openings(prepared, study.space, session.limits, left)
    first, carried = ([c for c in some if outside(c, study.space) is None] for some in (first, carried))
    trained = [c for c in first if c.is_trained]
    task = replace(prepared.task, n_folds=folds_to_score(prepared.task, prepared.costs, trained, left))
    prepared = replace(prepared, task=task)
    study.tell_kept(folder.load(study.begun))
    study.retry_lost()
    if not study.has_begun:
        study.add_sweep([o for o in sweep.outcomes if outside(o.configuration, study.space) is None])
        rest = [c for c in first if c not in (*tried, *carried)] if options.parts["enqueued"] else []
        for configuration in (*carried, *rest):
            if not options.strategies or configuration.strategy in options.strategies:
                study.enqueue(configuration)
        study.note_beginning()
    known = folder.load([t.number for t in study.finished if t.state == TrialState.COMPLETE])
    priors, kept = prepared.assessment.priors, comparable(task, known)
    candidates = Candidates(task, sweep.reference, priors, kept, sweep.others)
    allotment = Allotment(session, prepared, candidates, reserved, fallback)
    improved = partial(save_interim, folder, task)
    return Loop(session, prepared, study, _today(session, prepared), candidates, allotment, improved)


def _today(session: Session, prepared: Prepared) -> Space:
    """Return what may be chosen in this session: in its time, of the kinds of training that were asked for."""
    space = space_for(prepared.task, prepared.assessment, parts=session.options.parts)
    strategies = session.options.strategies
    found = prepared.assessment.sample
    if session.deadline.is_set and found.n == n_training(session.lab):  # else time is for more pictures
        space = replace(space, long_epochs=long_epochs_for(found.n_training))
    if not strategies:
        return space
    asked = {"frozen" if name in FROZEN else name for name in strategies}
    kinds = tuple(kind for kind in space.training if kind in asked)
    return replace(space, training=kinds or ("frozen",))


def comparable(task: Task, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return the candidates of an earlier session whose pictures and backbones are still those of this one.

    What was trained is kept as it is; a frozen candidate is solved again, so its scores must be of this trainer.
    """
    same = (o for o in outcomes if o.sample == task.digest and o.configuration.backbone in task.features)
    same = (o for o in same if o.configuration.is_trained or o.trainer == TRAINER_VERSION)
    whole = (o for o in same if o.rows.max() < task.sample.n and o.scores.shape[1] == task.n_classes)
    return [o if o.configuration.is_trained else with_merit(task, o) for o in whole]


def save_interim(folder: RunFolder, task: Task, outcome: Outcome) -> None:
    """Write a candidate as the model so far; what an earlier session delivered stays until this one delivers."""
    if not folder.is_finished:
        save_bundle(interim_model(task, outcome), folder.bundle)

"""From a folder of labelled pictures to the best model that a machine can find in the time given."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

from automl_tl.data.forms.memory import Data
from automl_tl.data.names import printable
from automl_tl.durations import format_duration
from automl_tl.errors import OptionError
from automl_tl.lab.lab import Lab, open_lab
from automl_tl.learning.tracking import tracked, trackers_asked_for
from automl_tl.model.bundle import save_bundle
from automl_tl.options import SearchOptions, takes
from automl_tl.searcher.beginning import begin_loop, check_kept, save_interim
from automl_tl.searcher.delivery.deliver import Delivered, deliver, final_seconds
from automl_tl.searcher.delivery.members import frozen_member
from automl_tl.searcher.delivery.models import first_interim_model
from automl_tl.searcher.experience import keep_experience
from automl_tl.searcher.first_look import FIRST_PICTURES, GETTING_READY_SHARE, n_training
from automl_tl.searcher.kept_fit import with_kept_fit
from automl_tl.searcher.larger_sample import try_candidates
from automl_tl.searcher.preparation import prepare
from automl_tl.searcher.record import TEST, VALIDATION, keep_evaluation, keep_findings, keep_origin, out_of_fold
from automl_tl.searcher.result import SearchResult
from automl_tl.searcher.run_folder import RunFolder, default_out
from automl_tl.searcher.same_run import identities
from automl_tl.searcher.session import Prepared, Session
from automl_tl.searcher.space.limits import Limits, measure_limits
from automl_tl.searcher.space.search_space import parameters
from automl_tl.searcher.summary import Sampled
from automl_tl.searcher.task import Task
from automl_tl.searcher.trials.deadline import Deadline
from automl_tl.searcher.trials.earlier import is_earlier
from automl_tl.searcher.trials.frozen import first_model
from automl_tl.searcher.trials.leaderboard import leaderboard, write_leaderboard
from automl_tl.searcher.trials.loop import Loop
from automl_tl.searcher.trials.study import Study
from automl_tl.torch_state import usual_state

LEAST_FOR_CHOOSING = 150.0
"""Seconds of a search below which no runtimes are measured: preparing and timing them takes some 8 s a backbone, and a
quarter of the time at most goes into features."""


@takes(SearchOptions)
@usual_state()
def search(data: Data, options: SearchOptions) -> SearchResult:
    """Find the best model for a data set, starting from what `recommend` would say.

    Args:
        data: the path of labelled pictures, or what holds them in memory; see `automl_tl.data.open_dataset`.

    Raises:
        AutomlTlError: the data set, a backbone or an option cannot be used; the message says why.
    """
    deadline = Deadline(options.budget, options.started)
    folder = RunFolder(default_out() if options.out is None else Path(options.out))
    folder.check(resume=options.resume)
    folder.check_outside(data)
    trackers = trackers_asked_for(options)
    with folder.claimed():
        lab = open_lab(data, options, spare=deadline.spare(GETTING_READY_SHARE))
        lab, limits = _without_unfit(_unhurried(lab, deadline), options)
        with tracked(lab.monitor, trackers) as monitor:
            return search_in(Session(replace(lab, monitor=monitor), options, folder, deadline, limits))


def _unhurried(lab: Lab, deadline: Deadline) -> Lab:
    """Return the laboratory, which measures no runtimes for features where that would cost a short search its time."""
    if deadline.left >= LEAST_FOR_CHOOSING:
        return lab
    return replace(lab, networks=replace(lab.networks, hurried=True))


def _without_unfit(lab: Lab, options: SearchOptions) -> tuple[Lab, Limits]:
    """Return the laboratory without the backbones of which nothing is small or fast enough, and what is of the others.

    Raises:
        OptionError: nothing fits.
    """
    if options.max_params is None and options.max_latency_ms is None:
        return lab, Limits()
    with lab.monitor.activity("Measuring parameters and latency"):
        names, limits = measure_limits(
            lab.networks, lab.backbones, max_params=options.max_params, max_latency_ms=options.max_latency_ms
        )
    large = (f"{name} is left out: {limits.reasons[name]}" for name, cut in limits.largest_cut.items() if cut == 0)
    return replace(lab, backbones=names, notes=(*lab.notes, *large)), limits


def search_in(session: Session) -> SearchResult:
    """Search in a run folder that is held: prepare, try, deliver."""
    folder, options, dataset = session.folder, session.options, session.lab.dataset
    asked, pictures = {**options.kept_by_resume(), "fingerprint": dataset.fingerprint}, identities(dataset.frame)
    if options.resume:
        folder.check_same(asked, pictures)
        check_kept(folder)
    follow = _mirroring(session)
    if not options.resume:
        folder.begin(asked, pictures)
    session = with_kept_fit(session)
    keep_origin(session)
    prepared = prepare(session, partial(_first_bundle, folder), FIRST_PICTURES)
    keep_findings(session, prepared)
    _check_time_left(session, prepared)
    if not options.resume:
        save_interim(folder, prepared.task, prepared.sweep.reference.outcome)
    loop = first = begin_loop(session, prepared)
    is_first = not any(map(is_earlier, loop.study.trials))  # on a larger sample the first trials are chosen ones
    with follow(loop.study):  # it may wait for a database in the end
        try:
            wanted = options.parts["trained"] or options.trials
            loop, stopped = try_candidates(loop) if wanted else (loop, "only the sweep was asked for")
            delivered = deliver(loop)
        finally:
            _keep_table(loop)
    result = _result(loop, delivered, stopped)
    _keep_answers(loop, delivered)
    if is_first:
        keep_experience(first)
    folder.write_result(result.to_dict())
    folder.forget_checkpoints()
    return result


def _keep_answers(loop: Loop, delivered: Delivered) -> None:
    """Write down what the delivered candidates said of pictures that they had not learned from."""
    session = loop.session
    keep_findings(session, loop.prepared, delivered.chosen)
    validation = out_of_fold(loop.task, delivered.chosen, delivered.model.weights)
    keep_evaluation(session.folder, VALIDATION, validation)
    keep_evaluation(session.folder, TEST, delivered.test)


def _mirroring(session: Session) -> Callable[[Study], AbstractContextManager[None]]:
    """Return what copies a study into the storage that was asked for; raises OptionError where there is none."""
    lab, url = session.lab, session.options.storage
    if url is None:
        return lambda study: nullcontext()
    from automl_tl.searcher.trials.mirror import Mirror  # it takes SQLAlchemy, which nothing else needs

    mirror = Mirror(url, session.folder.study_name(), greater_is_better=lab.metric.sign > 0)
    return partial(mirror.following, say=lab.monitor.say)


def _check_time_left(session: Session, prepared: Prepared) -> None:
    """Raise OptionError where a resumed run has no time to try anything: what it delivered before is as good."""
    deadline, folder = session.deadline, session.folder
    if session.options.resume and folder.is_finished and deadline.left <= final_seconds(session, prepared):
        raise OptionError(
            f"the budget of {format_duration(deadline.budget or 0.0)} is used up by getting ready, so nothing can be "
            f"tried; the model of before stays in '{printable(folder.bundle)}': go on with a longer --budget"
        )


def _first_bundle(folder: RunFolder, task: Task, backbone: str) -> None:
    """Write a model as soon as the first features are there; an earlier session's stays."""
    if folder.bundle.exists():
        return
    configuration, head = first_model(task, backbone)
    save_bundle(first_interim_model(task, frozen_member(task, configuration, head)), folder.bundle)


def _keep_table(loop: Loop) -> None:
    """Write the leaderboard; anew where a signal comes meanwhile, which ends the search all the same."""
    try:
        _write_table(loop)
    except KeyboardInterrupt:
        _write_table(loop)
        raise


def _write_table(loop: Loop) -> None:
    metric = loop.task.metric
    table = leaderboard(loop.study.trials, metric.name, greater_is_better=metric.greater_is_better)
    write_leaderboard(table, loop.session.folder.leaderboard)


def _result(loop: Loop, delivered: Delivered, stopped: str) -> SearchResult:
    session, assessment, metric = loop.session, loop.prepared.assessment, loop.task.metric
    best = delivered.winner.configuration
    rows = {row.strategy: row for row in assessment.expectations.front}
    row = rows.get(best.strategy) or rows[assessment.choice.strategy]
    return SearchResult(
        path=session.lab.path,
        report=session.lab.report,
        assessment=assessment,
        best=best,
        members=tuple(outcome.configuration for outcome in delivered.chosen),
        shares=delivered.model.weights,
        params=parameters(best, loop.study.space),
        value=delivered.winner.value,
        validation=delivered.validation,
        test=delivered.test,
        predicted=(row.accuracy, row.interval),
        comparisons=delivered.comparisons,
        n_trials=len(loop.study.finished),
        seconds=session.deadline.elapsed,
        parts=session.lab.clock.parts,
        stopped_because=stopped,
        bundle=session.folder.bundle,
        leaderboard=session.folder.leaderboard,
        table=leaderboard(loop.study.trials, metric.name, greater_is_better=metric.greater_is_better),
        metric=metric.name,
        budget=session.options.budget,
        notes=(*loop.prepared.notes, *delivered.notes),
        sample=_sampled(loop, delivered),
    )


def _sampled(loop: Loop, delivered: Delivered) -> Sampled | None:
    n, there = loop.task.sample.n, n_training(loop.lab)
    learned_from = tuple(delivered.model.details["data"]["learned_from"])
    return Sampled(n, there, learned_from) if n < there else None

"""From a folder of labelled pictures to a model of one configuration: no search, the same trainer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from automl_tl.data.forms.memory import Data
from automl_tl.lab.fit_choice import with_best_fit
from automl_tl.lab.lab import Lab, open_lab
from automl_tl.learning.configuration import Configuration
from automl_tl.learning.tracking import tracked, trackers_asked_for
from automl_tl.model.bundle import save_bundle
from automl_tl.model.evaluate import never
from automl_tl.model.evaluation import Evaluation
from automl_tl.monitor import Epoch, Monitor
from automl_tl.options import ConfigurationOptions, LabOptions, OutOptions, SearchOptions, TrainOptions, of_group, takes
from automl_tl.searcher.asked import check_strategy, configuration_asked_for
from automl_tl.searcher.delivery.deliver import bundle_details
from automl_tl.searcher.delivery.ensemble import calibrated_probabilities
from automl_tl.searcher.delivery.members import Refitted, refitted
from automl_tl.searcher.delivery.models import calibrated_model
from automl_tl.searcher.delivery.place import place_of
from automl_tl.searcher.delivery.unseen import tested
from automl_tl.searcher.predecessor import (
    Predecessor,
    notes_on,
    origin_of,
    predecessor_asked_for,
    suited,
    with_its_backbone,
)
from automl_tl.searcher.preparation import prepare
from automl_tl.searcher.record import TEST, VALIDATION, answers_to, keep_evaluation, keep_findings, keep_origin
from automl_tl.searcher.run_folder import RunFolder, default_out
from automl_tl.searcher.same_run import identities
from automl_tl.searcher.session import Prepared, Session
from automl_tl.searcher.space.limits import Limits
from automl_tl.searcher.task import Task
from automl_tl.searcher.train_result import TrainResult
from automl_tl.searcher.trials.deadline import Deadline
from automl_tl.searcher.trials.frozen import score_frozen
from automl_tl.searcher.trials.observer import Observer, Watch
from automl_tl.searcher.trials.outcome import Outcome
from automl_tl.searcher.trials.trained import score_trained
from automl_tl.torch_state import usual_state


@takes(TrainOptions)
@usual_state()
def train(data: Data, options: TrainOptions) -> TrainResult:
    """Train exactly one configuration to completion: without options the recommended one.

    It learns once without a validation part, a fold that is the same as a search's first one, and is scored there; then
    from every training picture. Held-out test pictures are looked at once, by the model that is delivered.

    Args:
        data: the path of labelled pictures, or what holds them in memory; see `automl_tl.data.open_dataset`.

    Raises:
        AutomlTlError: the data set, a backbone or an option cannot be used; the message says why.
    """
    deadline, folder = Deadline(None), RunFolder(default_out() if options.out is None else Path(options.out))
    check_strategy(options)
    folder.check(resume=False)
    folder.check_outside(data)
    trackers, before = trackers_asked_for(options), predecessor_asked_for(options)
    where = {**of_group(options, OutOptions), "out": folder.path}
    as_search = SearchOptions(**of_group(options, LabOptions), **where, trials=1)
    with folder.claimed():
        folder.check(resume=False)  # another one may have ended there since
        lab = with_best_fit(open_lab(data, options)) if before is None else _opened(data, options, before)
        with tracked(lab.monitor, trackers) as monitor:
            session = Session(replace(lab, monitor=monitor), as_search, folder, deadline, Limits())
            return train_in(session, options, before)


def _opened(data: Data, options: TrainOptions, before: Predecessor) -> Lab:
    """Return the laboratory with the backbone and the input of the model that training goes on from."""
    return suited(open_lab(data, with_its_backbone(options, before)), before)


def train_in(session: Session, asked: ConfigurationOptions, before: Predecessor | None = None) -> TrainResult:
    """Train in a run folder that is held: prepare, learn and score, learn from everything, test, write."""
    folder, dataset, prepared = session.folder, session.lab.dataset, prepare(session, _no_model_yet)
    configuration = configuration_asked_for(prepared, asked, None if before is None else before.configuration)
    if before is not None:
        prepared = _continued(prepared, configuration, before)
    task = prepared.task
    outcome = _scored(session, prepared, configuration)
    refit = _refitted(session, prepared, outcome)
    model = calibrated_model(task, task, [outcome], [1.0], [refit.member])
    asked_for = {"command": "train", "fingerprint": dataset.fingerprint, "configuration": configuration.to_dict()}
    folder.begin(asked_for, identities(dataset.frame))  # whatever ends a run before here, it can be begun again
    folder.keep_fit(session.lab.report.fit, session.lab.report.fit_reason)
    keep_origin(session)
    keep_findings(session, prepared, [outcome])
    folder.save(outcome)
    say = partial(bundle_details, session.lab, task.sample, [configuration], [refit.n])
    save_bundle(replace(model, details=say({}, None)), folder.bundle)  # whatever happens to the test, it is not lost
    test, untested = tested(session.lab, model, never)
    result = _result(session, prepared, outcome, refit, test, untested)
    result = result if before is None else replace(result, origin=origin_of(before, task))
    save_bundle(replace(model, details=say(result.validation.numbers, test)), folder.bundle)
    keep_evaluation(folder, VALIDATION, result.validation)
    keep_evaluation(folder, TEST, test)
    folder.write_result(result.to_dict())
    folder.forget_checkpoints()
    return result


def _continued(prepared: Prepared, configuration: Configuration, before: Predecessor) -> Prepared:
    """Return what was prepared with what the model before hands on, and what should be known of that."""
    task, notes = prepared.task, (*prepared.notes, *notes_on(before, configuration))
    if before.configuration.is_trained:
        task = replace(task, carried=before.carried(task, configuration))
    return replace(prepared, task=task, notes=notes)


def _no_model_yet(task: Task, backbone: str) -> None:
    """Write nothing before what was asked for is trained."""


def _scored(session: Session, prepared: Prepared, configuration: Configuration) -> Outcome:
    """Return what the configuration comes to on pictures that it did not learn from."""
    task, executor = prepared.task, session.lab.executor
    with _watching(session.lab.monitor, "Training without the validation part") as watch:
        if configuration.is_trained:
            observer = Observer(watch, parts=configuration.tuned.all_epochs)
            outcome = score_trained(task, configuration, prepared.sweep.reference, executor, observer=observer)
        else:
            outcome = executor.submit(score_frozen, task, configuration).result()
    return replace(outcome, number=0, sample=task.digest)


def _refitted(session: Session, prepared: Prepared, outcome: Outcome) -> Refitted:
    """Return the configuration after it has learned from every training picture."""
    with _watching(session.lab.monitor, "Training on every training picture") as watch:
        place = place_of(session, prepared)
        return refitted(prepared.task, outcome, prepared.sweep.reference.l2, place, watch=watch)


@contextmanager
def _watching(monitor: Monitor, name: str) -> Iterator[Watch]:
    """Yield what is told of every epoch while something is trained."""
    with monitor.activity(name) as update:

        def watch(epoch: Epoch) -> None:
            update(epoch.number, epoch.planned)
            monitor.learned(epoch)

        yield watch


def _result(
    session: Session,
    prepared: Prepared,
    outcome: Outcome,
    refit: Refitted,
    test: Evaluation | None,
    untested: tuple[str, ...],
) -> TrainResult:
    lab, task = session.lab, prepared.task
    probabilities = calibrated_probabilities(task, outcome, outcome.rows)
    validation = answers_to(task, outcome.rows, probabilities)
    return TrainResult(
        path=lab.path,
        report=lab.report,
        fingerprint=lab.dataset.fingerprint,
        recommended=prepared.assessment.choice.strategy,
        configuration=outcome.configuration,
        metric=task.metric.name,
        seed=lab.seed,
        value=outcome.value,
        validation=validation,
        test=test,
        history=outcome.history,
        per_class=task.sample.counts,
        n_training=refit.n,
        seconds=session.deadline.elapsed,
        bundle=session.folder.bundle,
        notes=(*prepared.notes, *filter(None, (refit.note,)), *untested),
    )

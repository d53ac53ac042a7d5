"""From a folder of labelled pictures to the best model that a machine can find in the time given."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from optuna.trial import TrialState

from automl_tl.lab.assessment import Columns
from automl_tl.lab.networks import Notice, Overrides, unheard
from automl_tl.model.bundle import save_bundle
from automl_tl.searcher.delivery.deliver import Delivered, deliver, final_seconds, first_interim_model, interim_model
from automl_tl.searcher.delivery.members import frozen_member, is_trained
from automl_tl.searcher.monitor import Monitor, Silent
from automl_tl.searcher.preparation import Data, Prepared, make_task, prepare, read_data
from automl_tl.searcher.result import SearchResult
from automl_tl.searcher.run_folder import RunFolder, default_out
from automl_tl.searcher.settings import Settings, checked
from automl_tl.searcher.space.search_space import Space, outside, parameters
from automl_tl.searcher.trials.deadline import Deadline
from automl_tl.searcher.trials.frozen import first_model
from automl_tl.searcher.trials.leaderboard import leaderboard, write_leaderboard
from automl_tl.searcher.trials.loop import Loop
from automl_tl.searcher.trials.openings import folds_to_score, make_space, openings
from automl_tl.searcher.trials.outcome import Outcome
from automl_tl.searcher.trials.study import Study, open_storage
from automl_tl.searcher.trials.task import Task


def search(
    path: str | Path,
    *,
    budget: float | None = None,
    trials: int | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    backbones: Sequence[str] = (),
    strategies: Sequence[str] = (),
    metric: str = "accuracy",
    device: str = "auto",
    max_memory: int | None = None,
    max_latency_ms: float | None = None,
    max_params: int | None = None,
    seed: int = 0,
    cache_dir: str | Path | None = None,
    path_column: str = "path",
    label_column: str = "label",
    split_column: str = "split",
    group_column: str | None = None,
    weights: Mapping[str, Path] | None = None,
    mean: tuple[float, float, float] | None = None,
    std: tuple[float, float, float] | None = None,
    input_size: int | None = None,
    without: Sequence[str] = (),
    monitor: Monitor | None = None,
    notice: Notice = unheard,
    started: float | None = None,
) -> SearchResult:
    """Find the best model for a data set, starting from the recommendation.

    Args:
        path: a folder of class folders, or a CSV or Parquet table.
        budget: seconds from the start to the written model; default: 600 where `trials` is not given either.
        trials: trials after the sweep, in all; without a budget no decision reads a clock, so the same seed gives
            the same leaderboard but for the seconds.
        out: folder of the run; default: runs/<time>.
        resume: go on with the run in `out`, for the budget given now.
        backbones: names to consider; default: all whose weights are on this machine.
        strategies: of the four, those to consider; default: all.
        metric: "accuracy", "balanced_accuracy", "macro_f1" or "log_loss".
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        max_memory: bytes of resident memory; activations are kept accordingly, a trial beyond it ends.
        max_latency_ms: milliseconds for one picture on this device, alone in its batch.
        max_params: parameters of the backbone up to the cut.
        seed: of the split, the folds, the samples, the sampler and training.
        cache_dir: where features are kept between runs.
        path_column, label_column, split_column, group_column: columns of a table.
        weights: local weights files by backbone name.
        mean, std, input_size: override what a backbone says of its input.
        without: parts to leave out, to measure what each earns: "joined", "augmented", "trained", "enqueued",
            "ensemble".
        monitor: who watches; default: nobody.
        notice: told, before anything is fetched, what is not on this machine.
        started: `time.monotonic()` when the budget began; default: now.

    Raises:
        AutomlTlError: the data set, a backbone or an option cannot be used; the message says why.
    """
    begun = time.monotonic() if started is None else started
    settings = checked(
        Settings(
            str(path), budget, trials, None if out is None else Path(out), resume, tuple(backbones), tuple(strategies),
            metric, device, max_memory, max_latency_ms, max_params, seed, cache_dir,
            Columns(path_column, label_column, split_column, group_column),
            Overrides(weights or {}, mean, std, input_size), tuple(without),
        )
    )  # fmt: skip
    settings = replace(settings, out=settings.out or default_out())
    assert settings.out is not None
    folder = RunFolder(settings.out)
    folder.check(resume=settings.resume)
    deadline, watcher = Deadline(settings.budget, begun), monitor or Silent()
    data = read_data(settings, watcher, notice)
    with folder.claimed():
        return _run(settings, data, folder, deadline, watcher)


def _run(settings: Settings, data: Data, folder: RunFolder, deadline: Deadline, monitor: Monitor) -> SearchResult:
    asked = {**settings.asked(), "fingerprint": data.dataset.fingerprint}
    if settings.resume:
        folder.check_same(asked)
    else:
        folder.begin(asked)
    task, notes = make_task(data, settings, deadline, monitor, lambda task, name: _first_bundle(folder, task, name))
    folder.keep_sample(task.sample.n)
    prepared = prepare(data, task, settings, deadline, monitor, notes)
    if not settings.resume:
        _save_interim(folder, prepared, prepared.found.reference.outcome)
    loop = _make_loop(settings, folder, deadline, monitor, prepared)
    try:
        stopped = loop.run() if settings.parts["trained"] or settings.trials else "only the sweep was asked for"
        delivered = deliver(loop)
    finally:
        _write_table(loop)
    result = _result(loop, delivered, stopped)
    folder.write_result(result.to_dict())
    return result


def _make_loop(settings: Settings, folder: RunFolder, deadline: Deadline, monitor: Monitor, prepared: Prepared) -> Loop:
    task, sign = prepared.task, prepared.task.metric.sign
    reserved = final_seconds(prepared, settings)
    left = deadline.left - reserved if deadline.is_set else None
    parts = settings.parts
    today = _narrowed(make_space(task, prepared.survey, parts=parts), settings)
    space = folder.space(today)
    first = openings(task, prepared.survey, prepared.found, space, prepared.costs, left, prepared.data.limits)
    first = [c for c in first if outside(c, space) is None]  # a resumed run keeps to what it began with
    trained = [c for c in first if is_trained(c)]
    task.n_folds = folds_to_score(task, prepared.costs, trained, left)
    study = Study(open_storage(folder.journal), space, settings.seed, greater_is_better=sign > 0)
    study.retry_lost()
    if not study.has_sweep:
        study.add_sweep([o for o in prepared.found.outcomes if outside(o.configuration, space) is None])
        for configuration in first if parts["enqueued"] else []:
            if not settings.strategies or configuration.strategy in settings.strategies:
                study.enqueue(configuration)
    known = [t.number for t in study.finished if t.state == TrialState.COMPLETE]
    loop = Loop(
        prepared, settings, study, folder, deadline, today, reserved, monitor,
        lambda outcome: _save_interim(folder, prepared, outcome),
        outcomes=_comparable(task, folder.load(known)),
    )  # fmt: skip
    return loop


def _narrowed(space: Space, settings: Settings) -> Space:
    """Return the space without the kinds of training that were not asked for."""
    if not settings.strategies:
        return space
    asked = {name if name in ("fine_tuning", "pretrained_initialization") else "frozen" for name in settings.strategies}
    kinds = tuple(kind for kind in space.training if kind in asked)
    return replace(space, training=kinds or ("frozen",))


def _comparable(task: Task, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return the candidates of an earlier session whose pictures and backbones are still those of this one."""
    return [o for o in outcomes if o.sample == task.digest and o.configuration.backbone in task.features]


def _first_bundle(folder: RunFolder, task: Task, backbone: str) -> None:
    """Write a model as soon as the first features are there; an earlier session's stays."""
    if folder.bundle.exists():
        return
    configuration, head = first_model(task, backbone)
    save_bundle(first_interim_model(task, frozen_member(task, configuration, head)), folder.bundle)


def _save_interim(folder: RunFolder, prepared: Prepared, outcome: Outcome) -> None:
    """Write a candidate as the model so far; what an earlier session delivered stays until this one delivers."""
    if folder.is_finished:
        return
    save_bundle(interim_model(prepared, outcome), folder.bundle)


def _write_table(loop: Loop) -> None:
    metric = loop.prepared.task.metric
    table = leaderboard(loop.study.trials, metric.name, greater_is_better=metric.greater_is_better)
    write_leaderboard(table, loop.folder.leaderboard)


def _result(loop: Loop, delivered: Delivered, stopped: str) -> SearchResult:
    prepared, settings, task = loop.prepared, loop.settings, loop.prepared.task
    best = delivered.winner.configuration
    rows = {row.strategy: row for row in prepared.survey.outlook.front}
    row = rows.get(best.strategy) or rows[prepared.recommendation.strategy]
    metric = task.metric
    finished = loop.study.finished
    return SearchResult(
        best=best,
        members=tuple(outcome.configuration for outcome in delivered.chosen),
        shares=delivered.model.weights,
        params=parameters(best, loop.study.space),
        value=delivered.winner.value,
        validation=delivered.validation,
        test=delivered.test,
        n_test=delivered.n_test,
        predicted=(row.accuracy, row.interval),
        recommendation=prepared.recommendation,
        comparisons=delivered.comparisons,
        n_trials=len(finished),
        seconds=loop.deadline.elapsed,
        stopped_because=stopped,
        bundle=loop.folder.bundle,
        leaderboard=loop.folder.leaderboard,
        table=leaderboard(loop.study.trials, metric.name, greater_is_better=metric.greater_is_better),
        metric=settings.metric,
        budget=settings.budget,
        notes=(*prepared.notes, *delivered.notes),
    )

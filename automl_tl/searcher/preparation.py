"""From a folder of pictures to everything that trials need: features, the recommendation, the sweep, the space."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from automl_tl.cache_dir import cache_dir
from automl_tl.data.dataset import ImageDataset
from automl_tl.data.quality import QualityReport
from automl_tl.durations import format_duration
from automl_tl.errors import BackboneError, OptionError
from automl_tl.features.engine import choose_engine
from automl_tl.features.extract import Features
from automl_tl.lab.assessment import Clock, Pictures, Survey, picture_seconds, read_pictures, survey
from automl_tl.lab.decision import GainPrior
from automl_tl.lab.evidence import Candidate, Evidence
from automl_tl.lab.extraction import extract_each
from automl_tl.lab.networks import Bench, Notice, usable_backbones, without_broken
from automl_tl.lab.sample import LARGEST_SAMPLE, Sample, draw_sample, lonely_note
from automl_tl.lab.timing import stage_seconds, whole_step_seconds
from automl_tl.learning.activations import MAX_BYTES
from automl_tl.learning.scores import get_metric
from automl_tl.recommender.recommend import summarise
from automl_tl.recommender.recommendation import Recommendation
from automl_tl.searcher.monitor import Monitor
from automl_tl.searcher.run_folder import SAMPLE, RunFolder
from automl_tl.searcher.settings import Settings
from automl_tl.searcher.space.limits import Limits, measure_limits
from automl_tl.searcher.trials.deadline import Costs, Deadline, StageCosts
from automl_tl.searcher.trials.openings import allowed, is_solvable
from automl_tl.searcher.trials.sweep import Sweep, sweep
from automl_tl.searcher.trials.task import Task
from automl_tl.strategies import FROZEN, Strategy, frozen_strategy

MOST_FOLDS = 5
EXTRACTION_SHARE = 0.25
"""Of the budget, for the features of the first backbone: what bounds the pictures that are looked at."""
FURTHER_SHARE, FURTHER_SECONDS = 0.15, 10.0
"""Of the budget, for the features of all backbones together; a further one is taken only if it fits, with the seconds
that its timing, domain distance and screening take besides (three backbones made a search of a minute overrun)."""
SURVEYED_PER_SECOND = 4.0
"""Pictures that the recommendation may rest on, per second of the budget: 240 for a minute. With 500 of them screening,
solving and timing took half of a minute, and the deadline was missed."""
LEAST_PER_CLASS, LARGEST_SHARE = 3, 0.5
"""Pictures of every class that are looked at in any case; a budget of which their features take more is refused."""
SWEEP_SHARE, LEAST_SWEEP = 0.15, 10.0
SOLVING_SHARE = 0.05
"""Of the time that is left, for solving further sources: training earns more where time is short."""
MOST_PICTURES = 20_000
"""Training pictures that are looked at without a budget."""
TRAINING_PARTS = ("train", "val")


@dataclass(frozen=True, eq=False)
class Data:
    """The pictures and what may be done with them."""

    pictures: Pictures
    bench: Bench
    names: tuple[str, ...]
    limits: Limits
    notes: tuple[str, ...]

    @property
    def dataset(self) -> ImageDataset:
        """Scanned and split."""
        return self.pictures.dataset

    @property
    def report(self) -> QualityReport:
        """Of the scan."""
        return self.pictures.report

    @property
    def held_aside(self) -> bool:
        """Whether a test part was held aside here, not given."""
        return not self.pictures.split_given and bool((self.dataset.frame["split"] == "test").any())


@dataclass(frozen=True, eq=False)
class Prepared:
    """Everything that trials need."""

    data: Data
    task: Task
    survey: Survey
    recommendation: Recommendation
    found: Sweep
    priors: Mapping[Strategy, GainPrior]
    costs: Costs
    notes: tuple[str, ...]

    @property
    def learns_from_everything(self) -> bool:
        """Whether the tested model learns from the test part as well: held aside here, all others looked at."""
        n_training = int(self.data.dataset.frame["split"].isin(TRAINING_PARTS).sum())
        return self.data.held_aside and self.task.sample.n >= n_training


def read_data(settings: Settings, monitor: Monitor, notice: Notice) -> Data:
    """Read, scan and split the pictures, and load the backbones."""
    bench = Bench(choose_engine(settings.device), cache_dir(settings.cache_dir), settings.overrides)
    pictures = read_pictures(settings.path, settings.columns, bench, settings.seed, monitor.stage)
    with monitor.stage("Loading backbones"):
        names, notes = usable_backbones(bench, settings.backbones, notice=notice)
        names, limits = measure_limits(
            bench, names, max_params=settings.max_params, max_latency_ms=settings.max_latency_ms
        )
    large = (f"{name} is left out: {limits.reasons[name]}" for name, cut in limits.largest_cut.items() if cut == 0)
    return Data(pictures, bench, names, limits, (*pictures.dataset.notes, *notes, *large))


def make_task(
    data: Data, settings: Settings, deadline: Deadline, monitor: Monitor, first: Callable[[Task, str], None]
) -> tuple[Task, tuple[str, ...]]:
    """Extract features, the cheapest backbone first, others while there is time; return the task, and notes.

    `first` is called with the task and the backbone as soon as anything can be fitted.
    """
    everything = draw_sample(
        data.dataset, len(data.dataset.frame), settings.seed, parts=TRAINING_PARTS, most_folds=MOST_FOLDS
    )
    named = frozenset(settings.backbones)
    costs, notes = without_broken(
        data.bench, data.names, lambda name: _cost(data, name, everything, deadline), named=named
    )  # fmt: skip
    order = sorted(costs, key=lambda name: costs[name])
    if not order:
        raise BackboneError(f"no backbone can be used: {'; '.join(notes)}")
    sample = _sample(data, settings, everything, costs[order[0]], deadline)
    features: dict[str, Features] = {}
    task = Task(
        data.bench, sample, data.report.fit, get_metric(settings.metric), settings.seed,
        _scratch(settings), features, max_bytes=_cache_bytes(settings),
    )  # fmt: skip
    remarks = list(notes)
    if sample.n < everything.n:
        remarks.append(f"The budget allows {sample.n:,} of the {everything.n:,} training pictures (stratified).")
    spent = 0.0
    for name in order:
        spent += sample.n * costs[name] + (FURTHER_SECONDS if features else 0.0)
        if features and deadline.is_set and spent > FURTHER_SHARE * (deadline.budget or 0.0):
            needed = sample.n * costs[name] + FURTHER_SECONDS
            remarks.append(f"{name} was left out: it needs about {needed:.0f} s, which a longer budget has.")
            continue
        some, more = extract_each(data.bench, [name], sample.pictures, data.report.fit, monitor.stage, named=named)
        remarks += more
        features |= some
        if len(features) == 1 and some:
            first(task, name)
    if not features:
        raise BackboneError(f"no backbone could compute features of these pictures: {'; '.join(remarks)}")
    return task, tuple(remarks)


def prepare(
    data: Data, task: Task, settings: Settings, deadline: Deadline, monitor: Monitor, notes: tuple[str, ...]
) -> Prepared:
    """Survey the data set, sweep the frozen candidates, and set out what may be searched."""
    clock = Clock()
    costs, more = _trainable_costs(data, task, frozenset(settings.backbones), monitor)
    rows = _surveyed_rows(task, settings, deadline)
    found = survey(
        data.bench, task.sample.take(rows), {name: f.take(rows) for name, f in task.features.items()}, data.report.fit,
        metric=settings.metric, seed=settings.seed, budget=deadline.left if deadline.is_set else None, clock=clock,
        progress=monitor.stage,
    )  # fmt: skip
    notes = (*data.notes, *notes, *more, *lonely_note(task.sample))
    recommendation = summarise(
        settings.path, data.report, found, settings.metric, settings.budget, clock, notes
    )  # fmt: skip
    task.allowed_views = frozenset({"zoom", *(v for v in ("hflip", "vflip") if allowed(found, v))})
    with monitor.stage("Solving the best sources"):
        budget = min(
            max(SWEEP_SHARE * (deadline.budget or 0.0), LEAST_SWEEP) - clock.seconds["evidence"],
            SOLVING_SHARE * deadline.left,
        )
        evidence = _permitted(found.evidence, settings, data.limits)
        if len(rows) < task.sample.n:
            evidence = replace(evidence, screened_all=False)
        swept = sweep(task, evidence, solvable=is_solvable(task), seconds=budget if deadline.is_set else None)
    return Prepared(data, task, found, recommendation, swept, found.priors, costs, notes)


def _surveyed_rows(task: Task, settings: Settings, deadline: Deadline) -> np.ndarray:
    """Return the rows that the recommendation rests on: fewer than all where it would take too much of the budget."""
    most = LARGEST_SAMPLE
    if deadline.budget is not None:
        most = max(3 * task.n_classes, min(most, int(SURVEYED_PER_SECOND * deadline.budget)))
    return task.sample.subset(most, settings.seed)


def _permitted(evidence: Evidence, settings: Settings, limits: Limits) -> Evidence:
    """Return the evidence without sources that are too large or, where others are left, were not asked for."""
    frozen = [name for name in settings.strategies if name in FROZEN] or list(FROZEN)

    def within(candidate: Candidate) -> bool:
        return max(candidate.source.cuts) <= limits.largest_cut.get(candidate.backbone, candidate.n_stages)

    def fits(candidate: Candidate) -> bool:
        source, n_stages = candidate.source, candidate.n_stages
        if settings.without and "joined" in settings.without and (len(source.cuts) > 1 or source.pooling != "mean"):
            return False
        return within(candidate) and frozen_strategy(source.cuts, n_stages) in frozen

    wanted = fits if any(map(fits, evidence.probe)) else within
    probe, finalists = (tuple(filter(wanted, some)) for some in (evidence.probe, evidence.finalists))
    return replace(evidence, probe=probe, finalists=finalists)


def _cost(data: Data, name: str, sample: Sample, deadline: Deadline) -> float:
    """Return the seconds of a picture's features; without a budget the parameters, so that no clock is read."""
    if deadline.is_set:
        return picture_seconds(data.bench, name, sample, data.report.fit)
    return float(sum(p.numel() for stage in data.bench.network(name).stages for p in stage.parameters()))


def _sample(data: Data, settings: Settings, everything: Sample, cost: float, deadline: Deadline) -> Sample:
    begun = RunFolder(_out(settings)).read_json(SAMPLE) if settings.resume else None
    most = MOST_PICTURES
    if begun is not None:  # the pictures that the run began with: else what is known of its candidates would be lost
        most = int(begun["n"])
    elif deadline.budget is not None:
        least = min(LEAST_PER_CLASS * len(everything.classes), everything.n)
        if least * cost > LARGEST_SHARE * deadline.budget:
            raise OptionError(_too_short(deadline.budget, least * cost / LARGEST_SHARE, len(everything.classes)))
        most = max(least, int(EXTRACTION_SHARE * deadline.budget / max(cost, 1e-9)))
    if everything.n <= most:
        return everything
    return draw_sample(data.dataset, most, settings.seed, parts=TRAINING_PARTS, most_folds=MOST_FOLDS)


def _too_short(budget: float, needed: float, n_classes: int) -> str:
    return (
        f"a budget of {format_duration(budget)} is too short for {n_classes:,} classes: looking at {LEAST_PER_CLASS} "
        f"pictures of each takes more than half of it; give --budget {math.ceil(needed)}s or more, or a faster "
        "--backbone"
    )


def _trainable_costs(data: Data, task: Task, named: frozenset[str], monitor: Monitor) -> tuple[Costs, tuple[str, ...]]:
    """Return what training costs, and a note for each backbone that cannot be trained: it leaves the task."""
    engine, folder = data.bench.engine.for_training, data.bench.cache / "timing"

    def measured(name: str) -> StageCosts:
        network = data.bench.network(name)
        forward = stage_seconds(network, engine, folder)
        return StageCosts(forward, whole_step_seconds(network, engine, folder) / max(sum(forward), 1e-9))

    with monitor.stage("Timing a training step"):
        stages, notes = without_broken(data.bench, list(task.features), measured, named=named)
    if not stages:
        raise BackboneError(f"no backbone can be trained: {'; '.join(notes)}")
    task.features = {name: task.features[name] for name in stages}
    return Costs(stages), notes


def _out(settings: Settings) -> Path:
    assert settings.out is not None
    return settings.out


def _scratch(settings: Settings) -> Path:
    return _out(settings) / "scratch"


def _cache_bytes(settings: Settings) -> int:
    """Return the bytes of activations that a trial may keep: a third of the memory that is allowed, at most 2 GiB."""

    return MAX_BYTES if settings.max_memory is None else min(MAX_BYTES, settings.max_memory // 3)

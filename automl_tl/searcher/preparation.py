"""From a laboratory to everything that trials need: features, the assessment, the sweep, what training costs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from automl_tl.durations import format_duration
from automl_tl.errors import BackboneError, OptionError
from automl_tl.features.extract import Features
from automl_tl.lab.assessment import assess
from automl_tl.lab.considered import without_broken
from automl_tl.lab.evidence import Candidate, Evidence
from automl_tl.lab.extraction import extract_each
from automl_tl.lab.sample import LARGEST_SAMPLE, Sample, draw_sample, lonely_note
from automl_tl.lab.timing import stage_seconds, whole_step_seconds
from automl_tl.learning.activations import HALF_PRECISION, MAX_BYTES
from automl_tl.options import SearchOptions
from automl_tl.searcher.session import Prepared, Session
from automl_tl.searcher.space.limits import Limits
from automl_tl.searcher.space.space_for import is_solvable
from automl_tl.searcher.task import Task
from automl_tl.searcher.trials.costs import Costs, StageCosts
from automl_tl.searcher.trials.sweep import sweep
from automl_tl.strategies import FROZEN, frozen_strategy

MOST_FOLDS = 5
EXTRACTION_SHARE = 0.25
"""Of the budget, for the features of the first backbone: what bounds the pictures that are looked at."""
FURTHER_SHARE, FURTHER_SECONDS = 0.15, 10.0
"""Of the budget, for the features of all backbones together; a further one is taken only if it fits, with the seconds
that its timing, domain distance and screening take besides (three backbones made a search of a minute overrun)."""
ASSESSED_PER_SECOND = 4.0
"""Pictures that the assessment may rest on, per second of the budget: 240 for a minute. With 500 of them screening,
solving and timing took half of a minute, and the deadline was missed."""
LEAST_PER_CLASS, LARGEST_SHARE = 3, 0.5
"""Pictures of every class that are looked at in any case; a budget of which their features take more is refused."""
EVIDENCE_SHARE = 0.5
"""Of the time that is left, after which screening and solving for the recommendation end with what there is."""
SWEEP_SHARE, LEAST_SWEEP = 0.15, 10.0
SOLVING_SHARE = 0.05
"""Of the time that is left, for solving further sources: training earns more where time is short."""
MOST_PICTURES = 20_000
"""Training pictures that are looked at without a budget."""
TRAINING_PARTS = ("train", "val")


def prepare(session: Session, first: Callable[[Task, str], None]) -> Prepared:
    """Extract features, assess the data set, sweep the frozen candidates, and time a training step.

    `first` is called with the task and the backbone as soon as anything can be solved.
    """
    lab, options = session.lab, session.options
    with lab.clock("features"):
        task, lost = _extract_features(session, first)
    session.folder.keep_sample(task.sample.n)
    with lab.clock("timing"):
        task, costs, untrainable = _time_training(session, task)
    rows = _assessed_rows(session, task)
    features = {name: f.take(rows) for name, f in task.features.items()}
    left = session.deadline.left if session.deadline.is_set else None
    ends = time.monotonic() + EVIDENCE_SHARE * session.deadline.left
    found = assess(lab, task.sample.take(rows), features, left, deadline=ends)
    task = replace(task, allowed_views=frozenset({"zoom", *(v for v in ("hflip", "vflip") if found.allows(v))}))
    with lab.clock("sweep"), lab.monitor.activity("Solving the best sources"):
        evidence = _permitted(found.evidence, options, session.limits)
        if len(rows) < task.sample.n:
            evidence = replace(evidence, screened_all=False)
        swept = sweep(task, evidence, solvable=is_solvable(task), seconds=_sweep_seconds(session))
    n_training = int(lab.dataset.frame["split"].isin(TRAINING_PARTS).sum())
    notes = (*lab.notes, *lost, *untrainable, *lonely_note(task.sample))
    everything = lab.held_aside and task.sample.n >= n_training
    return Prepared(task, found, swept, costs, everything, notes)


def _extract_features(session: Session, first: Callable[[Task, str], None]) -> tuple[Task, tuple[str, ...]]:
    """Extract features, the cheapest backbone first, others while there is time; return the task, and notes."""
    lab, deadline = session.lab, session.deadline
    everything = draw_sample(lab.dataset, len(lab.dataset.frame), lab.seed, parts=TRAINING_PARTS, most_folds=MOST_FOLDS)
    costs, notes = without_broken(lab.networks, lab.backbones, lambda name: _cost(session, name, everything))
    order = sorted(costs, key=lambda name: costs[name])
    if not order:
        raise BackboneError(f"no backbone can be used: {'; '.join(notes)}")
    sample = _sample(session, everything, costs[order[0]])
    features: dict[str, Features] = {}
    task = Task(
        lab.networks, sample, lab.report.fit, lab.metric, lab.seed, session.folder.scratch, features,
        max_bytes=_cache_bytes(session.options),
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
        some, more = extract_each(lab, [name], sample.pictures)
        remarks += more
        features |= some
        if len(features) == 1 and some:
            first(task, name)
    if not features:
        raise BackboneError(f"no backbone could compute features of these pictures: {'; '.join(remarks)}")
    return task, tuple(remarks)


def _cost(session: Session, name: str, sample: Sample) -> float:
    """Return the seconds of a picture's features; without a budget the parameters, so that no clock is read."""
    if session.deadline.is_set:
        return session.lab.picture_seconds(name, sample.pictures)
    return float(sum(p.numel() for stage in session.lab.networks.network(name).stages for p in stage.parameters()))


def _sample(session: Session, everything: Sample, cost: float) -> Sample:
    lab, budget = session.lab, session.deadline.budget
    begun = session.folder.sample_size if session.options.resume else None
    most = MOST_PICTURES
    if begun is not None:  # the pictures that the run began with: else what is known of its candidates would be lost
        most = begun
    elif budget is not None:
        least = min(LEAST_PER_CLASS * len(everything.classes), everything.n)
        if least * cost > LARGEST_SHARE * budget:
            raise OptionError(_too_short(budget, least * cost / LARGEST_SHARE, len(everything.classes)))
        most = max(least, int(EXTRACTION_SHARE * budget / max(cost, 1e-9)))
    if everything.n <= most:
        return everything
    return draw_sample(lab.dataset, most, lab.seed, parts=TRAINING_PARTS, most_folds=MOST_FOLDS)


def _too_short(budget: float, needed: float, n_classes: int) -> str:
    return (
        f"a budget of {format_duration(budget)} is too short for {n_classes:,} classes: looking at {LEAST_PER_CLASS} "
        f"pictures of each takes more than half of it; give --budget {math.ceil(needed)}s or more, or a faster "
        "--backbone"
    )


def _time_training(session: Session, task: Task) -> tuple[Task, Costs, tuple[str, ...]]:
    """Return what training costs, and a note for each backbone that cannot be trained: it leaves the task."""
    networks = session.lab.networks
    engine = networks.engine.for_training

    def measured(name: str) -> StageCosts:
        network = networks.network(name)
        forward = stage_seconds(network, engine, networks.timing)
        whole = whole_step_seconds(network, engine, networks.timing)
        kept = tuple(HALF_PRECISION * size for size in network.sizes)
        return StageCosts(forward, whole / max(sum(forward), 1e-9), kept)

    with session.lab.monitor.activity("Timing a training step"):
        stages, notes = without_broken(networks, list(task.features), measured)
    if not stages:
        raise BackboneError(f"no backbone can be trained: {'; '.join(notes)}")
    return replace(task, features={name: task.features[name] for name in stages}), Costs(stages, task.max_bytes), notes


def _assessed_rows(session: Session, task: Task) -> np.ndarray:
    """Return the rows that the assessment rests on: fewer than all where it would take too much of the budget."""
    most, budget = LARGEST_SAMPLE, session.deadline.budget
    if budget is not None:
        most = max(3 * task.n_classes, min(most, int(ASSESSED_PER_SECOND * budget)))
    return task.sample.subset(most, task.seed)


def _sweep_seconds(session: Session) -> float | None:
    deadline, screening = session.deadline, session.lab.clock.seconds["evidence"]
    if deadline.budget is None:
        return None
    return min(max(SWEEP_SHARE * deadline.budget, LEAST_SWEEP) - screening, SOLVING_SHARE * deadline.left)


def _permitted(evidence: Evidence, options: SearchOptions, limits: Limits) -> Evidence:
    """Return the evidence without sources that are too large or, where others are left, were not asked for."""
    frozen = [name for name in options.strategies if name in FROZEN] or list(FROZEN)

    def within(candidate: Candidate) -> bool:
        return max(candidate.source.cuts) <= limits.largest_cut.get(candidate.backbone, candidate.n_stages)

    def fits(candidate: Candidate) -> bool:
        source, n_stages = candidate.source, candidate.n_stages
        if not options.parts["joined"] and (len(source.cuts) > 1 or source.pooling != "mean"):
            return False
        return within(candidate) and frozen_strategy(source.cuts, n_stages) in frozen

    wanted = fits if any(map(fits, evidence.probe)) else within
    probe, finalists = (tuple(filter(wanted, some)) for some in (evidence.probe, evidence.finalists))
    return replace(evidence, probe=probe, finalists=finalists)


def _cache_bytes(options: SearchOptions) -> int:
    """Return the bytes of activations that a trial may keep: a third of the memory that is allowed, at most 2 GiB."""
    return MAX_BYTES if options.max_memory is None else min(MAX_BYTES, options.max_memory // 3)

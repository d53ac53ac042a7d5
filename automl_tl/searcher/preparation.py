"""From a laboratory to everything that trials need: features, the assessment, the sweep, what training costs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from automl_tl.errors import BackboneError, OptionError
from automl_tl.lab.assessment import Assessment, assess
from automl_tl.lab.considered import without_broken
from automl_tl.lab.evidence import Candidate, Evidence
from automl_tl.lab.sample import LARGEST_SAMPLE, lonely_note
from automl_tl.lab.timing import SHARE, STEP_OVER_FORWARD, TIMING, stage_seconds, whole_step_seconds
from automl_tl.learning.activations import HALF_PRECISION
from automl_tl.options import SearchOptions
from automl_tl.searcher.first_look import FirstLook, look, n_training
from automl_tl.searcher.session import Prepared, Session
from automl_tl.searcher.space.limits import Limits
from automl_tl.searcher.space.space_for import is_solvable
from automl_tl.searcher.task import Task
from automl_tl.searcher.trials.costs import Costs, StageCosts
from automl_tl.searcher.trials.reference import optimism_on
from automl_tl.searcher.trials.sweep import Leading, sweep
from automl_tl.spare_time import SpareTime
from automl_tl.strategies import FROZEN, frozen_strategy

ASSESSED_PER_SECOND = 4.0
"""Pictures that the assessment may rest on, per second of the budget: 240 for a minute. With 500 of them screening,
solving and timing took half of a minute, and the deadline was missed."""
OPTIONAL_ENDS = 0.6
"""Of the budget, after which a search does nothing that it can do without: the machine may be slower than planned."""
EVIDENCE_SHARE = 0.5
"""Of the time that is left, after which screening and solving for the recommendation end with what there is."""
SWEEP_SHARE, LEAST_SWEEP = 0.15, 10.0
SOLVING_SHARE = 0.05
"""Of the time that is left, for solving further sources: training earns more where time is short."""


def prepare(session: Session, first: Callable[[Task, str], None], most: int | None = None) -> Prepared:
    """Extract features, assess the data set, sweep the frozen candidates, and time a training step.

    Args:
        session: what was asked for.
        first: called with the task and the backbone as soon as anything can be solved.
        most: training pictures that are looked at; default: as many as there is time for.
    """
    lab, options = session.lab, session.options
    with lab.clock("features"):
        seen = look(session, first, most)
    if not options.resume or seen.task.sample.n != session.folder.sample_size:  # else it may have begun to grow
        session.folder.keep_sample(seen.task.sample.n)
    spare = session.deadline.spare(OPTIONAL_ENDS)
    with lab.clock("timing"):
        task, costs, untrainable = _time_training(session, seen, spare.part(SHARE))
    rows = _assessed_rows(session, task)
    features = {name: f.take(rows) for name, f in task.features.items()}
    left = session.deadline.left if session.deadline.is_set else None
    ends = time.monotonic() + EVIDENCE_SHARE * session.deadline.left
    found = assess(lab, task.sample.take(rows), features, left, deadline=ends, spare=spare)
    task = replace(task, allowed_views=frozenset({"zoom", *(v for v in ("hflip", "vflip") if found.allows(v))}))
    with lab.clock("sweep"), lab.monitor.activity("Solving the best sources"):
        evidence = _permitted(found.evidence, options, session.limits)
        if len(rows) < task.sample.n:
            evidence = replace(evidence, screened_all=False)
        seconds = _sweep_seconds(session)
        leading = _leading(found, evidence, task.sample.n)
        swept = sweep(task, evidence, leading, solvable=is_solvable(task), seconds=seconds)
    notes = (*lab.notes, *seen.remarks, *untrainable, *lonely_note(task.sample), *spare.note())
    everything = lab.held_aside and task.sample.n >= n_training(lab)
    return Prepared(task, found, swept, costs, everything, notes)


def _time_training(session: Session, seen: FirstLook, spare: SpareTime) -> tuple[Task, Costs, tuple[str, ...]]:
    """Return what training costs, and a note for each backbone that cannot be trained: it leaves the task."""
    networks, task = session.lab.networks, seen.task
    engine = networks.engine.for_training

    def kept(name: str) -> tuple[int, ...]:
        return tuple(HALF_PRECISION * size for size in networks.network(name).sizes)

    def timed(name: str) -> StageCosts:
        network = networks.network(name)
        forward = stage_seconds(network, engine, networks.timing, spare)
        whole = whole_step_seconds(network, engine, networks.timing, spare)
        return StageCosts(forward, whole / max(sum(forward), 1e-9), kept(name))

    def estimated(name: str) -> StageCosts:
        n_stages = networks.network(name).n_stages
        each = session.lab.picture_seconds(name, task.sample.pictures) / n_stages
        return StageCosts((each,) * n_stages, STEP_OVER_FORWARD, kept(name))

    def measured(name: str) -> StageCosts:
        return spare.attempt(TIMING, partial(timed, name), partial(estimated, name))

    with session.lab.monitor.activity("Timing a training step"):
        stages, notes = without_broken(networks, list(task.features), measured)
    if not stages:
        raise BackboneError(f"no backbone can be trained: {'; '.join(notes)}")
    task = replace(task, features={name: task.features[name] for name in stages})
    return task, Costs(stages, task.max_bytes, seen.slowdown), notes


def _leading(found: Assessment, permitted: Evidence, n: int) -> Leading:
    """Return the frozen strategy that is expected to be more accurate, of those of which a source is permitted.

    Args:
        found: of all sources.
        permitted: what is left of its evidence.
        n: pictures on which the best one is chosen.
    """
    gains = {row.strategy: row.gain for row in found.expectations.front if row.strategy in FROZEN}
    able = {candidate.strategy for candidate in permitted.probe} & gains.keys() or gains.keys()
    first = max(able, key=lambda strategy: gains[strategy])
    optimism = max(found.expectations.estimates[first].optimism, 0.0)
    ahead = gains[first] - max((gain for strategy, gain in gains.items() if strategy != first), default=gains[first])
    return Leading(first, ahead, optimism_on(n, optimism, found.sample.n))


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
    """Return the evidence without sources that are too large or, where others are left, were not asked for.

    Raises:
        OptionError: none that is small enough was screened in time.
    """
    frozen = [name for name in options.strategies if name in FROZEN] or list(FROZEN)

    def within(candidate: Candidate) -> bool:
        return not limits.rules_out(candidate.backbone, candidate.source.cuts)

    def fits(candidate: Candidate) -> bool:
        source, n_stages = candidate.source, candidate.n_stages
        if not options.parts["joined"] and (len(source.cuts) > 1 or source.pooling != "mean"):
            return False
        return within(candidate) and frozen_strategy(source.cuts, n_stages) in frozen

    wanted = fits if any(map(fits, evidence.probe)) else within
    probe, finalists = (tuple(filter(wanted, some)) for some in (evidence.probe, evidence.finalists))
    if not probe:
        raise OptionError("there was no time to look at any cut that the limits allow: give a longer --budget")
    return replace(evidence, probe=probe, finalists=finalists)

"""The frozen sweep: every source screened, the best few solved, all of it known before anything is trained."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from automl_tl.lab.evidence import Candidate, Evidence
from automl_tl.lab.recommended import frozen
from automl_tl.learning.classifiers import HEAD_L2, SOLVED_KINDS
from automl_tl.learning.configuration import Configuration, Frozen
from automl_tl.learning.heads import l2_grid, solve_path
from automl_tl.learning.merit import merit, usual
from automl_tl.searcher.task import Task
from automl_tl.searcher.trials.frozen import kept_spectrum, score_frozen
from automl_tl.searcher.trials.outcome import Outcome
from automl_tl.searcher.trials.reference import Reference
from automl_tl.strategies import Strategy

MOST_ENTERED = 36
"""Candidates that enter the study: over all depths and poolings, but not so many that they flood the sampler."""
SOURCES_SOLVED = 3
"""Sources that the document's classifiers are solved on, beyond those of the recommendation, while time allows."""


@dataclass(frozen=True, eq=False)
class Sweep:
    """The frozen candidates and the best of them."""

    outcomes: tuple[Outcome, ...]
    """Without scores."""
    reference: Reference
    """The best of them, with scores."""
    others: tuple[Outcome, ...] = ()
    """The best of every other backbone, with scores."""


@dataclass(frozen=True)
class Leading:
    """The frozen strategy that is expected to be better, and by how much accuracy.

    Below 0 it is expected to be behind the other one, of which nothing is permitted.

    The best of some thirty early cuts is right on all of forty pictures by luck. On draws of four classes of ten photos
    an early cut scored 1.0 in cross-validation and .90 on test pictures, a late one .88 and .94; on two classes of ten
    tiles .85 and .46 against .65 and .62. The expectation takes that off, and has the panel's experience in it.
    """

    strategy: Strategy
    ahead: float
    optimism: float = 0.0
    """Accuracy by which the scores of its best candidate flatter that, 0 or more."""


def sweep(task: Task, evidence: Evidence, leading: Leading, *, solvable: bool, seconds: float | None) -> Sweep:
    """Return solved candidates over all depths and poolings; the reference is of the leading strategy, if any is.

    Args:
        task: the data.
        evidence: what the recommendation rests on: every source's screen, and its finalists.
        leading: the frozen strategy that the recommendation expects to be better.
        solvable: whether the document's classifiers are within reach of these pictures and classes.
        seconds: what this may take, or None.
    """
    deadline = math.inf if seconds is None else time.monotonic() + seconds
    outcomes: list[Outcome] = []
    for candidate in _spread(evidence.probe, MOST_ENTERED):
        if evidence.screened_all:
            outcomes.append(_known(task, candidate))
        elif time.monotonic() < deadline or len(outcomes) < 3:
            scored = score_frozen(task, _configuration(task, candidate))
            outcomes.append(_scoreless(scored.configuration, scored.value, scored.merit, scored.seconds))
    outcomes += [_known(task, c) for c in evidence.finalists if c.path.kind != "ridge" and len(c.rows) == task.sample.n]
    if solvable:
        ranked = sorted(outcomes, key=lambda o: (not _is(leading, o), -o.merit))
        outcomes += list(_solve_more(task, ranked, deadline))
    eligible = [o for o in outcomes if _is(leading, o)]
    ahead, eligible = (leading.ahead, eligible) if eligible else (0.0, outcomes)
    best = max(eligible, key=lambda o: o.merit)
    reference = score_frozen(task, best.configuration)
    others = tuple(_scored(task, best_of_others(eligible, best), deadline))
    return Sweep(tuple(outcomes), Reference(reference, _l2(outcomes), ahead, leading.optimism), others)


def _is(leading: Leading, outcome: Outcome) -> bool:
    return outcome.configuration.strategy == leading.strategy


def _scored(task: Task, outcomes: Sequence[Outcome], deadline: float) -> Iterator[Outcome]:
    """Yield candidates with their scores, while there is time."""
    for one in outcomes:
        if time.monotonic() >= deadline:
            return
        yield score_frozen(task, one.configuration)


def best_of_others(outcomes: Sequence[Outcome], best: Outcome) -> list[Outcome]:
    """Return the best candidate of every backbone but the best one's."""
    ranked = sorted(outcomes, key=lambda o: -o.merit)
    leading: dict[str, Outcome] = {}
    for one in ranked:
        leading.setdefault(one.configuration.backbone, one)
    return [one for name, one in leading.items() if name != best.configuration.backbone]


def _spread(probe: Sequence[Candidate], most: int) -> list[Candidate]:
    """Return the best candidate of every backbone's every last cut first, then the best of the rest."""
    first: dict[tuple[str, int], Candidate] = {}
    for candidate in probe:
        first.setdefault((candidate.backbone, max(candidate.source.cuts)), candidate)
    leading = list(first.values())
    taken = {id(candidate) for candidate in leading}
    return [*leading, *(c for c in probe if id(c) not in taken)][: max(most, len(leading))]


def _configuration(task: Task, candidate: Candidate) -> Configuration:
    return frozen(candidate, task.features, task.sample.n)


def _known(task: Task, candidate: Candidate) -> Outcome:
    return _scoreless(_configuration(task, candidate), candidate.path.value, candidate.merit, 0.0)


def _scoreless(configuration: Configuration, value: float, worth: float, seconds: float) -> Outcome:
    return Outcome(configuration, value, np.empty(0, np.int64), np.empty((0, 0), np.float32), seconds, merit=worth)


def _solve_more(task: Task, ranked: Sequence[Outcome], deadline: float) -> Iterator[Outcome]:
    """Solve the document's classifiers on the best sources that have not been solved yet."""
    solved = {o.configuration.source for o in ranked if o.configuration.head != "ridge"}
    rest = [o for o in ranked if o.configuration.source not in solved]
    for outcome in list({o.configuration.source: o for o in reversed(rest)}.values())[::-1][:SOURCES_SOLVED]:
        if time.monotonic() >= deadline:
            return
        plain = outcome.configuration
        spectrum = kept_spectrum(task, plain, task.matrix(*plain.source))
        problem, strengths = task.sample.problem(spectrum), l2_grid(task.sample.n, round(spectrum.unit))
        for kind in SOLVED_KINDS:
            if time.monotonic() >= deadline:
                return
            begun = time.perf_counter()
            path = solve_path(kind, problem, strengths, metric=task.metric.name, deadline=deadline)
            how = Frozen(kind, path.penalty * task.sample.n / spectrum.unit)
            worth = merit(path.value, path.losses, task.y, task.metric, usual(plain.cuts, plain.pooling))
            yield _scoreless(replace(plain, how=how), path.value, worth, time.perf_counter() - begun)


def _l2(outcomes: Sequence[Outcome]) -> float:
    """Return the strength of the best softmax head, as a multiple of columns over pictures."""
    solved = [o for o in outcomes if o.configuration.head == "softmax"]
    if not solved:
        return HEAD_L2
    best = max(solved, key=lambda o: o.merit).configuration.how
    assert isinstance(best, Frozen)
    return best.penalty

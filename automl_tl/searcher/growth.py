"""More pictures where the learning curve says that they pay: how many, and what is carried over to them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise, takewhile

from automl_tl.lab.decision import INDIFFERENCE
from automl_tl.lab.extraction import extract_all
from automl_tl.learning.configuration import Configuration
from automl_tl.learning.curve import LearningCurve, learning_curve
from automl_tl.searcher.first_look import MOST_PICTURES, PATIENCE, drawn_part, n_training
from automl_tl.searcher.session import Prepared, Session
from automl_tl.searcher.task import Computed, Task
from automl_tl.searcher.trials.frozen import kept_spectrum, score_frozen, too_much
from automl_tl.searcher.trials.loop import Loop
from automl_tl.searcher.trials.reference import Reference, optimism_on
from automl_tl.searcher.trials.sweep import Sweep, best_of_others
from automl_tl.spare_time import UNLIMITED, SpareTime, until

SOLVED_ANEW, TRAINED_ANEW = 6, 2
"""The best frozen candidates that are solved on the larger sample, more than the sampler needs to propose from
(`study.STARTUP_TRIALS`), and the best trained ones that are tried on it first."""
GROWING_SHARE = 0.8
"""Of the time that is left, in which a larger sample must have its features, one trial and the refit."""


@dataclass(frozen=True)
class Growth:
    """What more pictures are expected to bring."""

    sizes: tuple[int, ...]
    """Samples up to which every step pays, ascending; none where the first does not."""
    first: int
    """Pictures of the first larger sample, twice as many or all that are there."""
    gain: float
    """In accuracy, of the first one."""
    stderr: float

    def __str__(self) -> str:
        gain = f"{100 * self.gain:+z.1f} points (standard error {100 * self.stderr:.1f})"
        return f"by the learning curve {self.first:,} pictures bring frozen features {gain}"


def expected_growth(session: Session, prepared: Prepared) -> Growth | None:
    """Return what more pictures would bring; None where no more can be had, or no curve can be measured.

    A larger sample, twice as many pictures or all that are there, pays where the accuracy that it gains, less the
    standard error, is more than what counts as equal: it takes as much time as the trials on the smaller one, which are
    there to find a difference of that size.
    """
    n, there = prepared.task.sample.n, n_training(session.lab)
    larger = list(_doublings(n, there, MOST_PICTURES if session.deadline.budget is None else there))
    curve = _curve(prepared.task, prepared.sweep) if larger else None
    if curve is None or not curve.is_measured:
        return None
    share = float(curve.sizes[-1]) / n  # of a sample is learned from, the rest is the fold
    gains = [curve.step(share * before, share * after) for before, after in pairwise((n, *larger))]
    paying = takewhile(lambda one: one[1][0] - one[1][1] > INDIFFERENCE, zip(larger, gains, strict=True))
    return Growth(tuple(size for size, _ in paying), larger[0], *gains[0])


def _doublings(n: int, there: int, most: int) -> Iterator[int]:
    """Yield the sizes of larger samples, at most `most`, the last one perhaps all pictures that are `there`."""
    while n < there and (n := min(2 * n, there)) <= most:
        yield n


def _curve(task: Task, found: Sweep) -> LearningCurve | None:
    """Return the learning curve of the best source of a single stage with ridge regression, which is quick to refit."""
    plain = [o for o in found.outcomes if o.configuration.head == "ridge" and len(o.configuration.cuts) == 1]
    if not plain:
        return None
    best = max(plain, key=lambda o: o.merit).configuration
    problem = task.sample.problem(kept_spectrum(task, best, task.matrix(*best.source)))
    return learning_curve(problem, best.frozen.penalty, seed=task.seed, groups=task.sample.groups)


@dataclass(frozen=True)
class Carried:
    """What goes on to a larger sample: the best candidates, of the backbones of the very best ones."""

    solved: tuple[Configuration, ...]
    """Frozen ones without further views, whose features would take a pass for each; the best one first."""
    tried: tuple[Configuration, ...]
    """What is tried first: the best trained ones, then the best frozen one with its views, if it has any."""

    @property
    def backbones(self) -> list[str]:
        """Whose features are needed."""
        return list(dict.fromkeys(some[0].backbone for some in (self.solved, self.tried) if some))


def carried(loop: Loop) -> Carried:
    """Return what is worth trying on more pictures."""
    candidates, best = loop.candidates, loop.candidates.best_frozen
    known, sign = [*loop.prepared.sweep.outcomes, *candidates.outcomes], loop.task.metric.sign
    ranked = sorted((o for o in known if o.configuration.is_trained), key=lambda o: -sign * o.value)
    solved = sorted((o for o in known if not o.configuration.is_trained), key=lambda o: -o.merit)
    trained, frozen = [o.configuration for o in ranked], [best.configuration, *(o.configuration for o in solved)]
    names = {frozen[0].backbone, *(one.backbone for one in trained[:1])}
    plain = dict.fromkeys(replace(c, how=replace(c.frozen, views="plain")) for c in frozen if c.backbone in names)
    tried = [c for c in trained if c.backbone in names][:TRAINED_ANEW]
    richer = frozen[:1] if frozen[0].frozen.views != "plain" else []
    return Carried(tuple(plain)[:SOLVED_ANEW], (*tried, *richer))


def affordable(loop: Loop, growth: Growth) -> int | None:
    """Return the largest sample that pays and for which there is time, or None."""
    what, time_left = carried(loop), GROWING_SHARE * loop.allotment.left
    return next((n for n in reversed(growth.sizes) if _seconds(loop, what, n) <= time_left), None)


def _seconds(loop: Loop, what: Carried, size: int) -> float:
    """Return what features, solving anew, one trained trial and the refit on `size` pictures take; 0 without a budget.

    So no clock is read without one.
    """
    if not loop.session.deadline.is_set:
        return 0.0
    n, n_trained, costs = loop.task.sample.n, loop.task.n_trained, loop.prepared.costs
    slowest = max(o.seconds for o in (loop.candidates.reference.outcome, *loop.prepared.sweep.outcomes))
    solving = slowest * (len(what.solved) + 1) * size / n  # once more for the refit
    best = [one for one in what.tried if one.is_trained][:1]
    training = sum(costs.seconds(one, size * n_trained // n) + costs.seconds(one, size) for one in best)
    return _extracting(loop, what, size) + solving + training


def _extracting(loop: Loop, what: Carried, size: int) -> float:
    """Return the seconds that the features of further pictures take."""
    pictures, pace = loop.task.sample.pictures, loop.prepared.costs.pace
    return (size - len(pictures)) * pace * sum(loop.lab.picture_seconds(name, pictures) for name in what.backbones)


def grown(loop: Loop, size: int) -> Prepared | None:
    """Return what trials on a larger sample need: its features, and the frozen candidates solved on it.

    None where none of them can be solved on so many pictures.

    Raises:
        AutomlTlError: the features take so long that the model of the smaller sample could not be refitted any more,
            or they cannot be computed.
    """
    lab, what = loop.lab, carried(loop)
    with lab.clock("features"):
        sample = drawn_part(lab, size)
        features, _ = extract_all(lab, what.backbones, sample.pictures, _time_for(loop, what, size))
    task = replace(loop.task, sample=sample, features=features, computed=Computed())
    loop.task.computed.pixels.clear()  # as large as the new ones; what needs them again decodes them again
    with lab.clock("sweep"), lab.monitor.activity("Solving the best sources on more pictures"):
        able = [one for one in what.solved if one.backbone in features and too_much(task, one) is None]
        ends = time.monotonic() + loop.allotment.left - loop.allotment.refit_seconds(None)
        solved = [score_frozen(task, one) for one in until(ends, able)]
    if not solved:
        return None
    before = loop.candidates.reference
    leading = before.outcome.configuration.strategy
    eligible = [o for o in solved if o.configuration.strategy == leading]
    ahead, eligible = (before.ahead, eligible) if eligible else (0.0, solved)
    best = max(eligible, key=lambda o: o.merit)
    optimism = optimism_on(sample.n, before.optimism, loop.task.sample.n)
    everything = lab.held_aside and sample.n >= n_training(lab)
    others = tuple(best_of_others(eligible, best))
    swept = Sweep(tuple(solved), Reference(best, before.l2, ahead, optimism), others)
    return replace(loop.prepared, task=task, sweep=swept, learns_from_everything=everything)


def _time_for(loop: Loop, what: Carried, size: int) -> SpareTime:
    """Return the time for features: somewhat more than planned, but so that the best of before can be refitted."""
    if not loop.session.deadline.is_set:
        return UNLIMITED
    most = loop.allotment.left - loop.allotment.refit_seconds(None)
    return SpareTime(time.monotonic() + min(PATIENCE * _extracting(loop, what, size), max(most, 0.0)))


def is_carried_over(before: Loop, after: Loop) -> bool:
    """Return whether the larger sample has a candidate of every kind that the smaller one has: frozen ones always.

    Else nothing says that the best of the larger sample is as good as the best of the smaller one.
    """
    return before.candidates.best_trained is None or after.candidates.best_trained is not None


def half_way(loop: Loop) -> Callable[[], bool]:
    """Return what says whether half of a loop's trials, or of its time, is used up.

    Each sample gets half, as each round of successive halving does (Jamieson and Talwalkar 2016).
    """
    wanted, half = loop.session.options.trials, loop.allotment.left / 2

    def reached() -> bool:
        enough = wanted is not None and len(loop.study.finished) >= wanted // 2
        return enough or (loop.session.deadline.is_set and loop.allotment.left <= half)

    return reached

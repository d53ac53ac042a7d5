"""The first thing a search does: the features of as many pictures, by as many backbones, as its budget allows."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from automl_tl.durations import format_duration
from automl_tl.errors import BackboneError, OptionError
from automl_tl.features.extract import Features
from automl_tl.lab.considered import without_broken
from automl_tl.lab.extraction import extract_each
from automl_tl.lab.lab import Lab
from automl_tl.lab.sample import FOLDS_OF_TRAINED, Sample, draw_sample
from automl_tl.learning.activations import MAX_BYTES
from automl_tl.options import SearchOptions
from automl_tl.searcher.session import Session
from automl_tl.searcher.task import Task
from automl_tl.spare_time import LateError, SpareTime

MOST_FOLDS = FOLDS_OF_TRAINED
GETTING_READY_SHARE = 0.25
"""Of the budget, after which no further backbone is loaded, and none timed."""
EXTRACTION_SHARE = 0.25
"""Of the budget, for the features of the first backbone: what bounds the pictures that are looked at."""
PATIENCE = 2.0
"""How much longer than planned that may take; then the fewest pictures have to do."""
FURTHER_SHARE, FURTHER_SECONDS = 0.15, 10.0
"""Of the budget, for the features of all backbones together; a further one is taken only if it fits, with the seconds
that its timing, domain distance and screening take besides (three backbones made a search of a minute overrun)."""
LEAST_PER_CLASS, LARGEST_SHARE = 3, 0.5
"""Pictures of every class that are looked at in any case; a budget of which their features take more is refused."""
PACE_PICTURES, PACE_SHARE = 64, 0.1
"""Pictures whose features show how fast the machine is now, and the share of the budget that they may take."""
COMPUTED_AGAIN = 16
"""Of these, where features are kept already, and nothing comes of computing them but the time that it takes."""
SLOWER = 1.5
"""How much longer than when it was timed a picture must take to count as slower: a few pictures say no more."""
MOST_PICTURES = 20_000
"""Training pictures that are looked at without a budget."""
FIRST_PICTURES = 10_000
"""Training pictures that a search begins with, at most. A trained candidate is scored on a fifth of them: of 2,000
pictures, two candidates that differ in one of twenty are told apart to half a point (the standard error), within which
they count as equal (`lab.decision.INDIFFERENCE`). More pictures are for learning; see `growth`."""
TRAINING_PARTS = ("train", "val")


@dataclass(frozen=True, eq=False)
class FirstLook:
    """What a search rests on."""

    task: Task
    slowdown: float
    """What a picture takes over what it took when it was timed: others may use this machine now; 1 or more."""
    remarks: tuple[str, ...]
    """What the user should know of backbones and pictures that were left out."""


@dataclass(frozen=True, eq=False)
class _Plan:
    """Which pictures are looked at."""

    sample: Sample
    fewest: Sample | None
    """Where there is no time for the sample; None: no other will do."""
    slowdown: float = 1.0


@dataclass
class Pace:
    """How long features took, over what they took when they were timed."""

    pictures: int = 0
    planned: float = 0.0
    took: float = 0.0

    def learn(self, pictures: int, cost: float, seconds: float) -> None:
        """Take note of what so many pictures took, each of which was timed at `cost` seconds."""
        self.pictures += pictures
        self.planned += pictures * cost
        self.took += seconds

    def slowdown(self, before: float) -> float:
        """Return what they show, 1 or more; where they are few it is that of `before`."""
        return max(self.took / max(self.planned, 1e-9), 1.0) if self.pictures >= PACE_PICTURES else before


def look(session: Session, first: Callable[[Task, str], None], most: int | None = None) -> FirstLook:
    """Extract features, the cheapest backbone first, others while there is time.

    Args:
        session: what was asked for.
        first: called with the task and the backbone as soon as anything can be solved.
        most: training pictures that are looked at; default: as many as there is time for.

    Raises:
        BackboneError: no backbone can be used.
        OptionError: the budget is too short for the classes.
    """
    lab = session.lab
    everything = drawn_part(lab, len(lab.dataset.frame))
    costs, notes = _costs(session, everything)
    if not costs:
        raise BackboneError(f"no backbone can be used: {'; '.join(notes)}")
    costs = dict(sorted(costs.items(), key=lambda item: item[1]))
    plan = _plan(session, everything, *next(iter(costs.items())), most)
    task = Task(
        lab.networks, plan.sample, lab.report.fit, lab.metric, lab.seed, session.folder.scratch, {},
        max_bytes=_cache_bytes(session.options),
    )  # fmt: skip
    task, remarks, pace = _features(session, task, plan.fewest, costs, first)
    if not task.features:
        raise BackboneError(f"no backbone could compute features of these pictures: {'; '.join([*notes, *remarks])}")
    if task.sample.n < everything.n:
        who = "The search begins with" if most is not None and task.sample.n >= most else "The budget allows"
        remarks.append(f"{who} {task.sample.n:,} of the {everything.n:,} training pictures (stratified).")
    return FirstLook(task, pace.slowdown(plan.slowdown), (*notes, *remarks))


def _costs(session: Session, sample: Sample) -> tuple[dict[str, float], tuple[str, ...]]:
    """Return the seconds of a picture's features by backbone, and notes; without a budget the parameters.

    So no clock is read without one. A budget that has no time for a second backbone has none for timing it either:
    then it is the smallest one's alone.
    """
    lab, budget = session.lab, session.deadline.budget

    def seconds(name: str) -> float:
        return lab.picture_seconds(name, sample.pictures)

    if budget is None:
        return without_broken(lab.networks, lab.backbones, lab.networks.n_parameters)
    if FURTHER_SHARE * budget > FURTHER_SECONDS:
        spare = session.deadline.spare(GETTING_READY_SHARE)
        return without_broken(lab.networks, lab.backbones, seconds, spare)
    left = sorted(lab.backbones, key=lab.networks.n_parameters)
    costs: dict[str, float] = {}
    notes: list[str] = []
    while left and not costs:
        costs, broken = without_broken(lab.networks, [left.pop(0)], seconds)
        notes += broken
    least = math.ceil(FURTHER_SECONDS / FURTHER_SHARE)
    notes += [f"{name} was left out: a further backbone needs a budget of more than {least} s." for name in left]
    return costs, tuple(notes)


def _plan(session: Session, everything: Sample, name: str, cost: float, most: int | None) -> _Plan:
    """Return which pictures there is time for.

    Args:
        session: has the budget.
        everything: all training pictures.
        name: of the first backbone.
        cost: the seconds that a picture's features took it when it was timed.
        most: pictures that are looked at, however much time there is.
    """
    budget = session.deadline.budget
    begun = session.folder.sample_size if session.options.resume else None
    least = min(LEAST_PER_CLASS * len(everything.classes), everything.n)
    if begun is not None:  # the pictures that the run began with: else what is known of its candidates would be lost
        return _Plan(drawn(session, everything, begun), None)
    if budget is None:
        everything = drawn(session, everything, min(MOST_PICTURES, most or MOST_PICTURES))
        return _Plan(everything, everything)
    if least * cost > LARGEST_SHARE * budget:
        raise OptionError(_too_short(budget, least * cost / LARGEST_SHARE, len(everything.classes)))
    cost = max(cost, 1e-9)
    fewest = drawn(session, everything, max(least, int(min(PACE_SHARE * budget / cost, PACE_PICTURES))))
    slowdown = _slowdown(session, name, fewest, cost)
    affordable = min(int(_planned_seconds(session) / (slowdown * cost)), most or everything.n)
    return _Plan(drawn(session, everything, max(fewest.n, affordable)), fewest, slowdown)


def _planned_seconds(session: Session) -> float:
    """Return what features may take: of the whole budget, or where most of that is used up, of twice what is left."""
    return EXTRACTION_SHARE * min(session.deadline.budget or math.inf, 2 * session.deadline.left)


def _slowdown(session: Session, name: str, fewest: Sample, cost: float) -> float:
    """Return what a picture takes now over what it took when it was timed, 1 where it is about the same."""
    lab, pictures = session.lab, fewest.pictures
    is_new = lab.n_missing(name, pictures) == fewest.n
    begun = time.monotonic()
    if is_new:
        extract_each(lab, [name], pictures)
    else:
        pictures = pictures[:COMPUTED_AGAIN]
        without_broken(lab.networks, [name], lambda name: lab.compute_again(name, pictures))
    now = (time.monotonic() - begun) / len(pictures)
    return now / cost if now > SLOWER * cost else 1.0


def drawn(session: Session, everything: Sample, most: int) -> Sample:
    """Return all training pictures, or a stratified part of `most`."""
    return everything if everything.n <= most else drawn_part(session.lab, most)


def n_training(lab: Lab) -> int:
    """Return how many training pictures there are."""
    return int(lab.dataset.frame["split"].isin(TRAINING_PARTS).sum())


def drawn_part(lab: Lab, size: int) -> Sample:
    """Return a stratified part of `size` training pictures; one of twice as many, or more, contains it."""
    return draw_sample(lab.dataset, size, lab.seed, parts=TRAINING_PARTS, most_folds=MOST_FOLDS)


def _too_short(budget: float, needed: float, n_classes: int) -> str:
    return (
        f"a budget of {format_duration(budget)} is too short for {n_classes:,} classes: looking at {LEAST_PER_CLASS} "
        f"pictures of each takes more than half of it; give --budget {math.ceil(needed)}s or more, or a faster "
        "--backbone"
    )


def _features(
    session: Session, task: Task, fewest: Sample | None, costs: Mapping[str, float], first: Callable[[Task, str], None]
) -> tuple[Task, list[str], Pace]:
    """Return the task with the features of the backbones that there is time for, in order, and remarks on the others.

    Where the first one takes too long, the task is of the fewest pictures. And how long they took.
    """
    lab, deadline, pace = session.lab, session.deadline, Pace()
    features: dict[str, Features] = {}
    remarks: list[str] = []
    task = replace(task, features=features)
    spare, spent = SpareTime(time.monotonic() + PATIENCE * _planned_seconds(session)), 0.0
    for name, cost in costs.items():
        missing, begun = lab.n_missing(name, task.sample.pictures), time.monotonic()
        needed = missing * cost + (FURTHER_SECONDS if features else 0.0)
        if features and deadline.is_set and spent + needed > FURTHER_SHARE * (deadline.budget or 0.0):
            remarks.append(f"{name} was left out: it needs about {needed:.0f} s, which a longer budget has.")
            continue
        spent += needed
        try:
            some, more = extract_each(lab, [name], task.sample.pictures, spare)
            pace.learn(missing, cost, time.monotonic() - begun)
        except LateError:
            done = missing - lab.n_missing(name, task.sample.pictures)
            pace.learn(done, cost, time.monotonic() - begun)
            if features:
                remarks.append(f"{name} was left out: there was no time for its features.")
                continue
            if fewest is None:
                raise OptionError(
                    f"the budget is too short to look again at the {task.sample.n:,} pictures that the run began with, "
                    "of which the cache lacks features; give a longer --budget"
                ) from None
            task = replace(task, sample=fewest)
            some, more = extract_each(lab, [name], fewest.pictures)
        remarks += more
        features |= some
        if len(features) == 1 and some:
            first(task, name)
    return task, remarks, pace


def _cache_bytes(options: SearchOptions) -> int:
    """Return the bytes of activations that a trial may keep: a third of the memory that is allowed, at most 2 GiB."""
    return MAX_BYTES if options.max_memory is None else min(MAX_BYTES, options.max_memory // 3)

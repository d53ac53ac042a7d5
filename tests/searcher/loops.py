"""The loop of trials by a clock that stands still, for tests of what fits into the time that is left."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from small_lab import bare_lab
from tasks import PRIORS, bare_task, outcome, reference, space

from automl_tl.learning.configuration import Configuration
from automl_tl.learning.estimate import expected_accuracy
from automl_tl.learning.selection import OutOfFold
from automl_tl.options import SearchOptions
from automl_tl.searcher.run_folder import RunFolder
from automl_tl.searcher.session import Prepared, Session
from automl_tl.searcher.space.limits import Limits
from automl_tl.searcher.task import Task
from automl_tl.searcher.trials.allotment import Allotment
from automl_tl.searcher.trials.candidates import Candidates
from automl_tl.searcher.trials.costs import Costs, StageCosts
from automl_tl.searcher.trials.deadline import Deadline
from automl_tl.searcher.trials.journal import open_storage
from automl_tl.searcher.trials.loop import Loop
from automl_tl.searcher.trials.outcome import Outcome
from automl_tl.searcher.trials.study import Study
from automl_tl.searcher.trials.sweep import Sweep

FINAL_SECONDS = 5.0
LAST: Any = SimpleNamespace(backbone="tiny", source=SimpleNamespace(cuts=(3,)), accuracy=0.95, stderr=0.01)
"""A source of the last stage."""
STATE: Any = {"head": np.zeros(1)}
"""Stands for what a trained candidate learned."""


class Standing(Deadline):
    """A deadline so many seconds away, whenever it is asked; None is none at all."""

    def __init__(self, left: float | None) -> None:
        super().__init__(None if left is None else 1e6, started=0.0)
        self.seconds = left

    @property
    def left(self) -> float:
        """What is left."""
        return np.inf if self.seconds is None else self.seconds


def make_loop(
    folder: Path, task: Task | None = None, *, left: float | None = 1000.0, held_aside: int = 0, **more: Any
) -> Loop:
    """Return a loop of 40 pictures in four folds with `left` seconds for trials and their refit.

    The best frozen candidate, the reference, is solved in no time.

    Args:
        folder: of the run.
        task: the data.
        left: seconds until what comes after the trials must begin; None for no budget.
        held_aside: pictures of a test part that is learned from in the end.
        more: options of the settings.
    """
    task = bare_task(np.arange(40) % 2) if task is None else task
    lab = bare_lab(folder, dataset=cast(Any, SimpleNamespace(frame=range(task.sample.n + held_aside))))
    deadline = Standing(None if left is None else left + FINAL_SECONDS)
    session = Session(lab, SearchOptions(**more), RunFolder(folder), deadline, Limits())
    found = SimpleNamespace(
        expectations=SimpleNamespace(
            estimates={"feature_extractor": expected_accuracy(OutOfFold(np.arange(40)[:, None] < 28))},
            candidates={"feature_extractor": LAST},
        ),
        sample=SimpleNamespace(n_training=task.sample.n),
    )
    stages = StageCosts(forward=(0.01, 0.02, 0.04), training=3.0)
    best = reference(task)
    best = replace(best, outcome=replace(best.outcome, seconds=0.0))
    prepared = cast(
        Prepared,
        SimpleNamespace(
            task=task, assessment=found, sweep=Sweep((), best), costs=Costs({"tiny": stages, "wide": stages}),
            learns_from_everything=held_aside > 0,
        ),
    )  # fmt: skip
    candidates = Candidates(task, best, PRIORS)
    allotment = Allotment(session, prepared, candidates, FINAL_SECONDS)
    study = Study(open_storage(None), space(), 0)
    return Loop(session, prepared, study, space(), candidates, allotment, lambda outcome: None)


def trained(task: Task, configuration: Configuration, value: float = 0.8, number: int = 0) -> Outcome:
    """Return a trained candidate whose weights are kept."""
    return outcome(
        task, value, configuration=configuration, rows=task.held_out(0), value=value, number=number, state=STATE
    )


def seconds(loop: Loop, configuration: Configuration, n: int, epochs: int | None = None) -> float:
    """Return what a candidate is expected to take."""
    return loop.prepared.costs.seconds(configuration, n, epochs)

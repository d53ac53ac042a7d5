"""A session: what a search was asked for in which laboratory, and what it has prepared for trials."""

from __future__ import annotations

from dataclasses import dataclass, field

from automl_tl.lab.assessment import Assessment
from automl_tl.lab.lab import Lab
from automl_tl.options import SearchOptions
from automl_tl.searcher.run_folder import RunFolder
from automl_tl.searcher.space.limits import Limits
from automl_tl.searcher.task import Task
from automl_tl.searcher.trials.costs import Costs
from automl_tl.searcher.trials.deadline import Deadline
from automl_tl.searcher.trials.sweep import Sweep


@dataclass(frozen=True, eq=False)
class Session:
    """What a search was asked for, where it lies, and when it must end."""

    lab: Lab
    options: SearchOptions
    folder: RunFolder
    deadline: Deadline
    limits: Limits


@dataclass(frozen=True, eq=False)
class Prepared:
    """Everything that trials need."""

    task: Task
    assessment: Assessment
    sweep: Sweep
    costs: Costs
    learns_from_everything: bool
    """Whether the tested model learns from the test part as well: held aside here, all others looked at."""
    notes: tuple[str, ...] = field(default=())

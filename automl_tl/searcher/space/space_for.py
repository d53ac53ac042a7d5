"""The search space of a data set: what its size, its classes and its pictures allow."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from automl_tl.backbones.stages import has_batchnorm
from automl_tl.lab.assessment import Assessment
from automl_tl.learning.configuration import CLASSIFIERS, VIEW_SETS, Training
from automl_tl.learning.effort import solving
from automl_tl.searcher.space.search_space import IMBALANCED, MANY_PICTURES, Space
from automl_tl.searcher.task import Task


def space_for(task: Task, assessment: Assessment, *, parts: Mapping[str, bool]) -> Space:
    """Return the search space of a data set.

    Args:
        task: the data.
        assessment: what is known of them.
        parts: which optional parts are on: "joined", "augmented", "trained".
    """
    networks = {name: task.networks.network(name) for name in task.features}
    counts = np.bincount(task.y)
    counts = counts[counts > 0]
    training: tuple[Training, ...] = ("frozen", "fine_tuning", "pretrained_initialization")
    solvable = is_solvable(task)
    sets = tuple(name for name in VIEW_SETS if name == "plain" or (parts["augmented"] and task.views(name)))
    return Space(
        n_stages={name: network.n_stages for name, network in networks.items()},
        grids={
            name: frozenset(cut for cut in range(1, f.n_stages + 1) if f.has_grid(cut))
            for name, f in task.features.items()
        },
        maps={
            name: frozenset(cut for cut, layout in enumerate(network.layouts, 1) if layout == "map")
            for name, network in networks.items()
        },
        patches=frozenset(name for name, f in task.features.items() if f.has_patches),
        layer_decay={name: network.fine_tuning.layer_decay for name, network in networks.items()},
        with_batchnorm=frozenset(name for name, network in networks.items() if has_batchnorm(network)),
        training=training if parts["trained"] else ("frozen",),
        classifiers=CLASSIFIERS if solvable else ("ridge",),
        views=sets,
        hflip=assessment.allows("hflip"),
        vflip=assessment.allows("vflip"),
        imbalanced=bool(counts.max() >= IMBALANCED * counts.min()),
        many=task.sample.n >= MANY_PICTURES,
        joined=parts["joined"],
        tuned_apart=True,
        augmented=parts["augmented"],
    )


def is_solvable(task: Task) -> bool:
    """Return whether the document's classifiers can be solved fold by fold within seconds."""
    n, n_folds = task.sample.n, len(np.unique(task.sample.folds))
    return solving(n, n, task.n_classes, n_folds=n_folds, path=True).affordable

"""What training a candidate takes of memory at least, known before it is begun: it is refused rather than killed."""

from __future__ import annotations

import math
from collections.abc import Iterable

from torch import nn

from automl_tl.errors import AutomlTlError, ShortageError
from automl_tl.learning.configuration import Configuration
from automl_tl.learning.recipe import batch_size_for
from automl_tl.learning.sharing import find_sharing
from automl_tl.memory import all_memory, check_memory, free_memory, give_back_freed, held_memory
from automl_tl.searcher.task import Task
from automl_tl.searcher.trials.allowance import Allowance
from automl_tl.wording import format_bytes

_FLOAT = 4  # bytes
_BESIDE_WEIGHTS = 4
"""Tensors of the size of a weight that learns: its gradient, AdamW's two averages, and what it began as."""


def least_bytes(task: Task, configuration: Configuration) -> int:
    """Return the bytes that training takes at least, beside what the process holds already.

    They are a copy of the weights, what an optimiser keeps of those that learn, and one batch's outputs of the stages
    that learn. Layers within a stage keep more of a batch, so what does not fit by this would never have fitted.
    """
    network, last = task.networks.network(configuration.backbone), max(configuration.cuts)
    first = max(last - configuration.tuned.unfrozen, 0)
    weights, learning = _bytes(network.stages[:last]), _bytes(network.stages[first:last])
    part = math.ceil(batch_size_for(task.n_trained) / find_sharing("cpu").size)  # of a batch
    outputs = _FLOAT * part * sum(network.sizes[first:last])
    return weights + _BESIDE_WEIGHTS * learning + outputs


def check_room(task: Task, configuration: Configuration, allowance: Allowance) -> None:
    """Raise where training would take more memory than there is, or than may be held.

    With several processes that may train at once on this machine, each may hold its equal part of all of its memory:
    what is free now says nothing of those who have not begun, and counts those who have twice. Before anything is
    refused, what earlier training has freed, and the process still has, is given back.

    Args:
        task: the data.
        configuration: a trained one.
        allowance: with the bytes that this process may hold, and how many train on this machine at once.

    Raises:
        ShortageError: the machine has less. A GPU's memory is not foreseen: what does not fit there ends no process.
        AutomlTlError: less is allowed.
    """
    if task.networks.engine.device != "cpu":
        return
    needed = least_bytes(task, configuration)
    try:
        _check(needed, configuration, allowance)
    except AutomlTlError:
        if not give_back_freed():
            raise
        _check(needed, configuration, allowance)


def _check(needed: int, configuration: Configuration, allowance: Allowance) -> None:
    free, everything = free_memory(), all_memory()
    said = f"training {configuration.backbone} takes at least {format_bytes(needed)} of memory, but"
    if free is not None and needed > free:
        raise ShortageError(f"{said} {format_bytes(free)} are free; end other programs, or choose a smaller --backbone")
    if allowance.at_once > 1 and everything is not None:
        held, part = held_memory() or 0, everything // allowance.at_once
        if held + needed > part:
            raise ShortageError(
                f"{said} this process holds {format_bytes(held)} of the {format_bytes(part)} that are its part of "
                f"{allowance.at_once}; give fewer --workers, or choose a smaller --backbone"
            )
    check_memory(allowance.memory, needed)


def _bytes(stages: Iterable[nn.Module]) -> int:
    return sum(one.numel() * one.element_size() for stage in stages for one in stage.parameters())

"""What training a candidate takes of memory at least, known before it is begun: it is refused rather than killed."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from automl_tl.errors import ShortageError
from automl_tl.learning.configuration import Configuration
from automl_tl.learning.recipe import batch_size_for
from automl_tl.memory import check_memory, free_memory
from automl_tl.searcher.task import Task
from automl_tl.searcher.trials.allowance import Allowance
from automl_tl.wording import format_bytes

_FLOAT = 4  # bytes
_BESIDE_WEIGHTS = 3
"""Tensors of the size of a weight that learns: its gradient, and AdamW's two averages."""


def least_bytes(task: Task, configuration: Configuration) -> int:
    """Return the bytes that training takes at least, beside what the process holds already.

    They are a copy of the weights, what an optimiser keeps of those that learn, and one batch's outputs of the stages
    that learn. Layers within a stage keep more of a batch, so what is refused by this would never have fitted.
    """
    network, last = task.networks.network(configuration.backbone), max(configuration.cuts)
    first = max(last - configuration.tuned.unfrozen, 0)
    weights, learning = _bytes(network.stages[:last]), _bytes(network.stages[first:last])
    outputs = _FLOAT * batch_size_for(task.n_trained) * sum(network.sizes[first:last])
    return weights + _BESIDE_WEIGHTS * learning + outputs


def check_room(task: Task, configuration: Configuration, allowance: Allowance) -> None:
    """Raise where training would take more memory than there is, or than may be held.

    What is free is shared out among what may go on at once: the others are taken to hold as much as this process does
    already, and to need as much more.

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
    needed, free = least_bytes(task, configuration), free_memory()
    if free is not None and needed > free // allowance.at_once:
        alone = allowance.at_once == 1
        each, way_out = ("", "") if alone else (f" for {allowance.at_once} at once", "give fewer --workers, ")
        raise ShortageError(
            f"training {configuration.backbone} takes at least {format_bytes(needed)} of memory, but "
            f"{format_bytes(free)} are free{each}; end other programs, {way_out}or choose a smaller --backbone"
        )
    check_memory(allowance.memory, needed)


def _bytes(stages: Iterable[nn.Module]) -> int:
    return sum(one.numel() * one.element_size() for stage in stages for one in stage.parameters())

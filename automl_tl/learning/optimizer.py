"""The optimiser: which parameters learn, at which rate, with which decay."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from typing import Any

import torch
from torch import nn

from automl_tl.features.engine import Engine
from automl_tl.learning.recipe import Recipe
from automl_tl.learning.tunable import Tunable


def make_optimizer(tunable: Tunable, recipe: Recipe) -> torch.optim.AdamW:
    """Return AdamW of the head and of the stages that learn, each at its rate; see `Recipe`."""
    network, last = tunable.network, max(tunable.cache.cuts)
    rate = recipe.head_lr / recipe.lr_ratio
    stages = enumerate(network.stages[last - recipe.unfrozen : last], 1)
    rates = [(stage, rate * recipe.layer_decay ** (recipe.unfrozen - number)) for number, stage in stages]
    undecayed = {id(p) for name, p in network.module.named_parameters() if name in network.fine_tuning.undecayed}
    groups = [
        *_groups([(tunable.head, recipe.head_lr)], recipe.weight_decay, frozenset()),
        *_groups(rates, recipe.weight_decay, undecayed),
    ]
    return adamw(groups, tunable.cache.engine)


def adamw(parameters: Iterable[Any], engine: Engine, lr: float = 1e-3) -> torch.optim.AdamW:
    """Return torch's AdamW, fused where torch has that: every parameter is gone over once instead of nine times.

    On an H100 steps of 32 pictures are 1.9 times as fast so: launching the kernels is what they wait for.

    Args:
        parameters: or groups of them, each with a rate of its own.
        engine: that they are on.
        lr: learning rate of what has none of its own.
    """
    return torch.optim.AdamW(parameters, lr=lr, fused=engine.kind in ("cpu", "cuda"))


def _groups(
    rates: Sequence[tuple[nn.Module, float]], weight_decay: float, undecayed: Set[int]
) -> list[dict[str, object]]:
    """Return the parameters that learn, a group for each rate with weight decay and one without.

    Args:
        rates: modules with their learning rates; what two of them share learns as in the first one.
        weight_decay: of matrices and kernels.
        undecayed: the `id` of those that have none either.
    """
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    seen: set[int] = set()
    for module, rate in rates:
        own = [p for p in module.parameters() if p.requires_grad and id(p) not in seen]
        seen |= {id(p) for p in own}
        for decays in (True, False):
            some = [p for p in own if (p.ndim > 1 and id(p) not in undecayed) is decays]
            groups.setdefault((rate, decays), []).extend(some)
    return [
        {"params": some, "lr": rate, "highest": rate, "weight_decay": weight_decay if decays else 0.0}
        for (rate, decays), some in groups.items()
        if some
    ]

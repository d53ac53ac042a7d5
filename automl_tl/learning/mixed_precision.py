"""Stages that learn computed in bfloat16, on a CPU that has instructions for it.

Parameters, their gradients and the optimiser stay float32 (Micikevicius et al. 2018); bfloat16 has float32's range, so
no loss needs to be scaled. On AVX-512 with bfloat16, matrix products take half the time and maps half the memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from automl_tl.learning.convolution import Convolving
from automl_tl.learning.rewriting import Forward, is_untouched


def in_bfloat16(stages: Sequence[nn.Module], forwards: Mapping[nn.Module, Forward]) -> dict[nn.Module, Forward]:
    """Return what modules may compute besides `forwards`: every stage under autocast, the last one's output float32.

    Convolutions that are not among `forwards` become `convolve`, since the gradients that torch computes of depthwise
    ones in bfloat16 take longer than in float32. Nothing is given where a stage has a `forward` of its own.

    Args:
        stages: that learn.
        forwards: of their modules, which are computed already.
    """
    if any("forward" in vars(stage) and stage not in forwards for stage in stages):
        return {}
    found: dict[nn.Module, Forward] = {}
    for stage in stages:
        for module in stage.modules():
            if isinstance(module, nn.Conv2d) and module not in forwards and is_untouched(module):
                found[module] = _convolving(module.forward)
    both = {**forwards, **found}
    for stage in stages:
        found[stage] = _under_autocast(both.get(stage, stage.forward), last=stage is stages[-1])
    return found


def _convolving(before: Forward) -> Forward:
    def forward(x: Tensor) -> Tensor:
        with Convolving():
            return before(x)

    return forward


def _under_autocast(before: Forward, *, last: bool) -> Forward:
    def forward(x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            output = before(x)
        return output.float() if last else output

    return forward

"""Stages that learn, computed the way that is fast on a CPU, where that learns the same."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from automl_tl.devices import own_numbers
from automl_tl.features.engine import Engine
from automl_tl.learning.folding import folded
from automl_tl.learning.mixed_precision import in_bfloat16
from automl_tl.learning.rewriting import Forward, evaluating, restore, rewrite, run
from automl_tl.memory import is_shortage

_OUTPUTS, _GRADIENTS = 1e-4, 1e-2
"""What may differ in float32: of outputs relative to the largest value, of a parameter's gradient relative to its norm.
A ReLU may let pass what is 1e-7 above zero in one way of computing and below it in the other."""
_NOTHING = 1e-5
"""Of the norm of all gradients: a difference that counts for nothing, however small the parameter's own gradient is."""
_ALIKE = 0.3
"""What may differ in bfloat16, of the norm of the outputs and of that of all gradients: .01 to .04 where a few stages
of EfficientNet-Lite0 learn, .1 to .24 where all of them do, on noise."""
_PICTURES = 2
"""That the decision is made by: it costs some steps of so many pictures."""


class _Result(NamedTuple):
    output: Tensor
    gradients: list[Tensor]
    """Of a function of the output, for every parameter that learns."""


def _are_equal(one: _Result, other: _Result) -> bool:
    """Return whether two results differ by float32's rounding alone."""
    whole, difference = _norm(one.gradients), (one.output - other.output).abs().max()
    return float(difference) <= _OUTPUTS * float(one.output.abs().max()) and all(
        float((a - b).norm()) <= _GRADIENTS * float(a.norm()) + _NOTHING * whole
        for a, b in zip(one.gradients, other.gradients, strict=True)
    )


def _are_alike(one: _Result, other: _Result) -> bool:
    """Return whether two results differ by no more than bfloat16's rounding adds up to in a deep network."""
    apart = [a - b for a, b in zip(one.gradients, other.gradients, strict=True)]
    output = float((one.output - other.output).norm()) <= _ALIKE * float(one.output.norm())
    return output and _norm(apart) <= _ALIKE * _norm(one.gradients)


def _norm(tensors: Sequence[Tensor]) -> float:
    return float(torch.stack([tensor.norm() for tensor in tensors]).norm())


_Comparison = Callable[[_Result, _Result], bool]


class FastStages(AbstractContextManager["FastStages"]):
    """While it lasts, stages that learn compute with folded BatchNorms and in bfloat16, each where that is alike.

    Parameters, buffers and modules stay where they are; a BatchNorm in training mode computes as ever. Folding is kept
    where outputs and gradients of the first inputs differ by float32's rounding alone, bfloat16 where they differ by no
    more than its rounding adds up to in a deep network; elsewhere than on a CPU in float32 nothing is tried. Measured
    in `benchmarks/results/training_step.csv`, and in `bfloat16.csv` what is learned so.

    Args:
        stages: of a network that nobody else runs meanwhile.
        engine: that they are run on.
        folding: whether BatchNorms may be folded, as where none of them adapts.
    """

    def __init__(self, stages: Sequence[nn.Module], engine: Engine, *, folding: bool = True) -> None:
        self._stages, self._forwards = tuple(stages), dict[nn.Module, Forward]()
        self._folding = folding and any(isinstance(module, nn.BatchNorm2d) for module in _modules(self._stages))
        learned = _learned(self._stages)
        self._halving = engine.learning == "bfloat16"
        tried = bool(learned) and (self._folding or self._halving)
        self._undecided = tried and engine.kind == "cpu" and engine.dtype == "float32"
        self.folds = self.halves = False
        """Whether BatchNorms are folded, and whether maps are bfloat16."""

    def see(self, inputs: Tensor) -> None:
        """Decide, once, by two of the inputs (m, ...) of the first stage."""
        if self._undecided:
            self._undecided = False
            with evaluating(self._stages), own_numbers():
                self._decide(inputs[:_PICTURES].detach())

    def __exit__(self, *error: object) -> None:
        restore(self._forwards)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let stages compute as they are, as where they are scored."""
        restore(self._forwards)
        try:
            yield
        finally:
            rewrite(self._forwards)

    def _decide(self, inputs: Tensor) -> None:
        expected = _result(self._stages, inputs)
        if self._folding:
            self.folds = self._takes(lambda: folded(self._stages, inputs), inputs, expected, _are_equal)
        if self._halving:
            forwards = self._forwards
            self.halves = self._takes(lambda: in_bfloat16(self._stages, forwards), inputs, expected, _are_alike)

    def _takes(
        self, find: Callable[[], dict[nn.Module, Forward]], inputs: Tensor, expected: _Result, are_same: _Comparison
    ) -> bool:
        """Let modules compute what is found, if that is the same."""
        forwards, same = dict[nn.Module, Forward](), False
        try:
            forwards = find()
            rewrite(forwards)
            same = bool(forwards) and are_same(expected, _result(self._stages, inputs))
        except Exception as error:  # of a backbone, or of autograd, as where what a ReLU6 has kept is written into
            if is_shortage(error):
                raise
            logging.getLogger(__name__).debug("stages that learn are computed as they are: %r", error)
        finally:
            restore(() if same else forwards)
            self._forwards = {**self._forwards, **forwards} if same else self._forwards
            rewrite(self._forwards)
        return same


def _modules(stages: Sequence[nn.Module]) -> list[nn.Module]:
    return [module for stage in stages for module in stage.modules()]


def _learned(stages: Sequence[nn.Module]) -> list[nn.Parameter]:
    return [p for stage in stages for p in stage.parameters() if p.requires_grad]


def _result(stages: Sequence[nn.Module], inputs: Tensor) -> _Result:
    parameters = _learned(stages)
    with torch.enable_grad():
        output = run(stages, inputs)
        found = torch.autograd.grad(output.square().sum(), parameters, allow_unused=True, materialize_grads=True)
    return _Result(output.detach(), list(found))

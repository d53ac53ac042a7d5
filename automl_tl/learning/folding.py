"""Stages that learn with frozen BatchNorms, these folded into the convolutions before them at every step.

A BatchNorm whose statistics stay is a scale and a shift per channel, made of two parameters that learn. Weights of a
convolution can carry both (Jacob et al. 2018, section 3.2): y = conv(x, W * s) + (beta - mean * s), where
s = gamma / sqrt(var + eps). Gradients go through these small tensors to W, gamma and beta: what learns, and what is
kept of it, stays as it is, while the maps between are neither written nor kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from automl_tl.backbones.batchnorm_pairs import find_pairs, rest_of
from automl_tl.features.engine import Engine
from automl_tl.learning.convolution import convolve, geometry_of
from automl_tl.memory import is_shortage

_OUTPUTS, _GRADIENTS = 1e-4, 1e-2
"""What may differ: of outputs relative to the largest value, of a parameter's gradient relative to its norm. In float32
a ReLU may let pass what is 1e-7 above zero in one way of computing and below it in the other."""
_NOTHING = 1e-5
"""Of the norm of all gradients: a difference that counts for nothing, however small the parameter's own gradient is."""

_PICTURES = 2
"""That the decision is made by: it costs some steps of so many pictures."""

_Forward = Callable[[Tensor], Tensor]


class Folding(AbstractContextManager["Folding"]):
    """While it lasts, stages that learn compute with folded BatchNorms, if that is the same.

    Parameters, buffers and modules stay where they are; a BatchNorm in training mode computes as ever. Where outputs or
    gradients of the first inputs differ by more than rounding, and elsewhere than on a CPU in float32, nothing happens.
    Measured on EfficientNet-Lite0 in `benchmarks/results/training_step.csv`.

    Args:
        stages: that learn, of a network that nobody else runs meanwhile.
        engine: that they are run on.
    """

    def __init__(self, stages: Sequence[nn.Module], engine: Engine) -> None:
        self._stages, self._forwards = tuple(stages), dict[nn.Module, _Forward]()
        has_batchnorm = any(isinstance(module, nn.BatchNorm2d) for module in _modules(self._stages))
        self._undecided = has_batchnorm and engine.kind == "cpu" and engine.dtype == "float32"

    @property
    def folds(self) -> bool:
        """Whether anything is folded."""
        return bool(self._forwards)

    def see(self, inputs: Tensor) -> None:
        """Decide, once, by two of the inputs (m, ...) of the first stage."""
        if self._undecided:
            self._undecided = False
            with _evaluating(self._stages), torch.random.fork_rng(devices=[]):
                self._begin(inputs[:_PICTURES].detach())

    def __exit__(self, *error: object) -> None:
        _restore(self._forwards)

    def _begin(self, inputs: Tensor) -> None:
        forwards = _forwards(self._stages, inputs)
        agree = False
        try:
            agree = bool(forwards) and _agree(self._stages, inputs, forwards)
        finally:
            if agree:
                self._forwards = forwards
            else:
                _restore(forwards)


def _modules(stages: Sequence[nn.Module]) -> list[nn.Module]:
    return [module for stage in stages for module in stage.modules()]


@contextmanager
def _evaluating(stages: Sequence[nn.Module]) -> Iterator[None]:
    """Let stages be in eval mode, and every module in its own again afterwards."""
    modes = [(module, module.training) for module in _modules(stages)]
    for stage in stages:
        stage.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _forwards(stages: Sequence[nn.Module], inputs: Tensor) -> dict[nn.Module, _Forward]:
    """Return what modules shall compute instead of what they do."""
    modules = _modules(stages)
    with torch.no_grad():
        pairs = find_pairs(modules, lambda: _run(stages, inputs))
    seen = Counter(module for pair in pairs for module in pair)
    found: dict[nn.Module, _Forward] = {}
    for convolution, batchnorm in pairs:
        if seen[convolution] == seen[batchnorm] == 1 and _is_untouched(convolution) and _is_untouched(batchnorm):
            found |= {convolution: _with(convolution, batchnorm), batchnorm: _after(batchnorm)}
    if found:
        found |= {module: _relu6 for module in modules if _is_relu6(module)}
    return found


def _is_relu6(module: nn.Module) -> bool:
    return type(module) is nn.ReLU6 and module.inplace and _is_untouched(module)


def _is_untouched(module: nn.Module) -> bool:
    """Return whether nobody watches a module, or has put a `forward` of his own in."""
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return not any(hooks) and "forward" not in vars(module)


def _with(convolution: nn.Conv2d, batchnorm: nn.BatchNorm2d) -> _Forward:
    """Return the convolution that does the BatchNorm's work."""
    before, geometry = convolution.forward, geometry_of(convolution)

    def forward(x: Tensor) -> Tensor:
        if batchnorm.training:
            return before(x)
        scale, shift = _scale_and_shift(convolution, batchnorm)
        if geometry is not None:
            return convolve(x, convolution.weight, scale, shift, geometry)
        with _parameters(convolution, weight=convolution.weight * scale.view(-1, 1, 1, 1), bias=shift):
            return before(x)

    return forward


def _scale_and_shift(convolution: nn.Conv2d, batchnorm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return what the weights are multiplied with and the bias, both (K,), where a convolution does both."""
    assert batchnorm.running_mean is not None
    assert batchnorm.running_var is not None
    scale = torch.rsqrt(batchnorm.running_var + batchnorm.eps)
    if batchnorm.weight is not None:
        scale = scale * batchnorm.weight
    mean = batchnorm.running_mean
    shift = -mean * scale if convolution.bias is None else (convolution.bias - mean) * scale
    if batchnorm.bias is not None:
        shift = shift + batchnorm.bias
    return scale, shift


@contextmanager
def _parameters(convolution: nn.Conv2d, **others: Tensor) -> Iterator[None]:
    """Let a convolution read other tensors than its own: what a subclass does with them, such as padding, stays."""
    own = convolution._parameters
    kept = {name: own[name] for name in others}
    own.update(others)  # type: ignore[arg-type]
    try:
        yield
    finally:
        own.update(kept)


def _after(batchnorm: nn.BatchNorm2d) -> _Forward:
    """Return what is left to a BatchNorm, whose convolution does the rest."""
    before, rest = batchnorm.forward, rest_of(batchnorm)

    def forward(x: Tensor) -> Tensor:
        found: Tensor = before(x) if batchnorm.training else rest(x)
        return found

    return forward


def _relu6(x: Tensor) -> Tensor:
    found: Tensor = _Relu6.apply(x)
    return found


class _Relu6(torch.autograd.Function):
    """In place, and nothing else is kept for the gradient; torch's keeps a copy of what it was before."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x.clamp_(0, 6)
        ctx.mark_dirty(x)
        ctx.save_for_backward(x)
        return x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (result,) = ctx.saved_tensors
        found: Tensor = torch.ops.aten.hardtanh_backward(gradient, result, 0, 6)
        return found


def _patch(forwards: dict[nn.Module, _Forward]) -> None:
    for module, forward in forwards.items():
        module.forward = forward


def _restore(forwards: dict[nn.Module, _Forward]) -> None:
    for module in forwards:
        vars(module).pop("forward", None)


def _run(stages: Sequence[nn.Module], x: Tensor) -> Tensor:
    for stage in stages:
        x = stage(x)
    return x


def _agree(stages: Sequence[nn.Module], inputs: Tensor, forwards: dict[nn.Module, _Forward]) -> bool:
    output, gradients = _output_and_gradients(stages, inputs)
    _patch(forwards)
    try:
        other, others = _output_and_gradients(stages, inputs)
    except RuntimeError as error:
        if is_shortage(error):
            raise
        return False  # autograd refuses it, as where something writes into what a ReLU6 has kept
    whole = float(torch.stack([gradient.norm() for gradient in gradients]).norm())
    return float((output - other).abs().max()) <= _OUTPUTS * float(output.abs().max()) and all(
        float((a - b).norm()) <= _GRADIENTS * float(a.norm()) + _NOTHING * whole
        for a, b in zip(gradients, others, strict=True)
    )


def _output_and_gradients(stages: Sequence[nn.Module], inputs: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Return the last output, and the gradient of a function of it for every parameter that learns."""
    parameters = [p for stage in stages for p in stage.parameters() if p.requires_grad]
    with torch.enable_grad():
        output = _run(stages, inputs)
        found = torch.autograd.grad(output.square().sum(), parameters, allow_unused=True, materialize_grads=True)
    return output.detach(), list(found)

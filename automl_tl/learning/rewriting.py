"""Modules that compute something else for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from torch import Tensor, nn

Forward = Callable[[Tensor], Tensor]


def is_untouched(module: nn.Module) -> bool:
    """Return whether nobody watches a module, or has put a `forward` of his own in."""
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return not any(hooks) and "forward" not in vars(module)


def rewrite(forwards: Mapping[nn.Module, Forward]) -> None:
    """Let modules compute what is given; none may have a `forward` of its own."""
    for module, forward in forwards.items():
        module.forward = forward


def restore(modules: Iterable[nn.Module]) -> None:
    """Let them compute what their classes say."""
    for module in modules:
        vars(module).pop("forward", None)


@contextmanager
def evaluating(stages: Sequence[nn.Module]) -> Iterator[None]:
    """Let stages be in eval mode, and every module in its own again afterwards."""
    modes = [(module, module.training) for stage in stages for module in stage.modules()]
    for stage in stages:
        stage.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def run(stages: Sequence[nn.Module], x: Tensor) -> Tensor:
    """Return what the last of the stages puts out."""
    for stage in stages:
        x = stage(x)
    return x

"""Which convolution feeds which BatchNorm: found out by running the network, whatever it is built of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from torch import Tensor, nn

Pair = tuple[nn.Conv2d, nn.BatchNorm2d]


def find_pairs(modules: Iterable[nn.Module], run: Callable[[], object]) -> list[Pair]:
    """Return the convolutions whose output a BatchNorm was given as it is, each with that BatchNorm.

    Modules that run more than once are no pair: what one of these BatchNorms does, another convolution cannot carry.
    Whether something else read what lies between them is not seen: whoever folds must compare with the network.

    Args:
        modules: those that are watched.
        run: runs them once, in eval mode.
    """
    made: dict[int, tuple[nn.Conv2d, Tensor]] = {}  # the outputs are held, so that no two have one id
    pairs: list[Pair] = []
    runs: Counter[nn.Module] = Counter()

    def remember(module: nn.Conv2d, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        runs[module] += 1
        made[id(output)] = module, output

    def pair(module: nn.BatchNorm2d, inputs: tuple[Tensor, ...]) -> None:
        runs[module] += 1
        if id(inputs[0]) in made and module.track_running_stats:
            pairs.append((made[id(inputs[0])][0], module))

    watched = dict.fromkeys(modules)
    handles = [m.register_forward_hook(remember) for m in watched if isinstance(m, nn.Conv2d)]
    handles += [m.register_forward_pre_hook(pair) for m in watched if isinstance(m, nn.BatchNorm2d)]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return [(convolution, batchnorm) for convolution, batchnorm in pairs if runs[convolution] == runs[batchnorm] == 1]


def rest_of(batchnorm: nn.BatchNorm2d) -> nn.Module:
    """Return what a BatchNorm does besides: those of timm hold the activation that follows."""
    parts = [getattr(batchnorm, name, None) for name in ("drop", "act")]
    return nn.Sequential(*(part for part in parts if isinstance(part, nn.Module)))

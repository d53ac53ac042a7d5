"""A built backbone: its module, its list of stages, and how to read what they put out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, cast

import torch
from torch import Tensor, nn

from automl_tl.backbones.blame import blaming
from automl_tl.backbones.contract import Backbone, FineTuning, WeightsInfo
from automl_tl.devices import to_device
from automl_tl.errors import BackboneError

Layout = Literal["map", "map_last", "tokens"]
"""Of a stage's output: (N, C, H, W); (N, H, W, C), channels last; anything else, read through `tokens()`."""


@dataclass(frozen=True, eq=False)
class Network:
    """A built backbone that passed its preflight, in eval mode."""

    name: str
    backbone: Backbone
    module: nn.Module
    stages: tuple[nn.Module, ...]
    weights: WeightsInfo
    """Of a random network the identity is a new one at every build."""
    channels: tuple[int, ...]
    """C of every stage's output."""
    layouts: tuple[Layout, ...]
    """How every stage's output is laid out, found out by the preflight."""
    sizes: tuple[int, ...] = ()
    """Numbers in every stage's output for one picture."""
    has_own_vector: bool = False
    """Whether the plugin's `pooled()` is another vector than the mean over the positions: a class token."""
    fine_tuning: FineTuning = field(default_factory=FineTuning)
    """What its plugin says of training it."""

    @property
    def n_stages(self) -> int:
        """Number of stages; `cut == n_stages` is the whole ConvNet."""
        return len(self.stages)

    @property
    def device(self) -> torch.device:
        """Where its parameters are."""
        tensors = [*self.module.parameters(), *self.module.buffers()]
        return tensors[0].device if tensors else torch.device("cpu")


def stage_outputs(network: Network, x: Tensor) -> Iterator[Tensor]:
    """Yield the output of stage 1, 2, ..., n for `x` (N, 3, S, S), normalised float32.

    Raises:
        BackboneError: A stage raises.
    """
    for number, stage in enumerate(network.stages, 1):
        with blaming(network.name, f"could not run stage {number} of {network.n_stages}"):
            x = stage(x)
        yield x


def tokens(network: Network, output: Tensor) -> Tensor:
    """Return a stage's output as (N, P, C): positions by channels, without class and register tokens.

    Raises:
        BackboneError: The shape is not one of the contract's and the backbone has no `tokens()`.
    """
    own = getattr(network.backbone, "tokens", None)
    if own is not None:
        return cast(Tensor, own(output))
    if output.ndim == 4:
        return output.flatten(2).transpose(1, 2)
    if output.ndim == 3:
        return output
    raise BackboneError(
        f"{network.name}: a stage's output must be (N, C, H, W) or (N, P, C), but is {shown(output)}; "
        "add a tokens(output) to the backbone"
    )


def layout_of(network: Network, output: Tensor) -> Layout:
    """Find out how an output is laid out: compare the backbone's `tokens()` with both ways to read a map.

    One row is compared, so this costs next to nothing.
    """
    if output.ndim != 4:
        return "tokens"
    if not hasattr(network.backbone, "tokens"):
        return "map"
    row = output[:1].detach()
    given = tokens(network, row)
    first, last = row.flatten(2).transpose(1, 2), row.flatten(1, 2)
    if given.shape == first.shape and torch.equal(given, first):
        return "map"
    return "map_last" if given.shape == last.shape and torch.equal(given, last) else "tokens"


def normalise(pictures: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Return uint8 pictures (N, S, S, 3) or (N, 3, S, S) as normalised float32 (N, 3, S, S).

    Raises:
        ValueError: Another dtype or shape.
    """
    if pictures.dtype != torch.uint8 or pictures.ndim != 4 or 3 not in (pictures.shape[1], pictures.shape[3]):
        raise ValueError(f"uint8 (N, S, S, 3) or (N, 3, S, S) expected, but got {pictures.dtype} {shown(pictures)}")
    channels_first = pictures.permute(0, 3, 1, 2) if pictures.shape[3] == 3 else pictures
    return standardise(channels_first.float(), mean, std)


def standardise(pixels: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Return pixels (N, 3, S, S), float32 from 0 to 255, as a network takes them that was trained on inputs in [0, 1]
    of this mean and standard deviation."""
    shift, scale = (to_device(torch.tensor(each) * 255, pixels.device).view(1, 3, 1, 1) for each in (mean, std))
    return (pixels - shift) / scale


def shown(tensor: Tensor) -> str:
    """Return a tensor's shape as text."""
    return str(tuple(tensor.shape))

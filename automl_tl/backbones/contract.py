"""What a backbone plugin is: the `Backbone` and `Family` protocols and the version they carry.

A plugin is any object with these members, registered under the entry-point group
`automl_tl.backbones`. It need not import automl_tl. This module imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import nn

API_VERSION = 1
ENTRY_POINT_GROUP = "automl_tl.backbones"
REQUIRED_MEMBERS = ("api_version", "input_size", "mean", "std", "pretrained_on", "build", "stages")


@runtime_checkable
class Backbone(Protocol):
    """A pretrained network as a list of stages.

    Plain attributes serve as well as properties.

    Optional members, each with a default in the core:

    - `tokens(output) -> Tensor (N, P, C)`: positions by channels of a stage's output, row by row, without
      class and register tokens. Default: (N, C, H, W) flattened, (N, P, C) as it is.
    - `pooled(output) -> Tensor (N, D)`: the backbone's own vector of its last stage, where that is
      not the mean over positions.
    - `interpolation: str`: "bilinear" (default), "bicubic" or "nearest".
    - `weights() -> WeightsInfo | Mapping | None`: known without building the network and without torch;
      a mapping has `WeightsInfo`'s fields as keys. Default: the distribution's name and version.
    - `build(..., weights: Path)`: if a local file can be loaded.
    - `build(..., input_size: int)`: if the network must know its input size (a vision transformer).
    - `classifier(module) -> nn.Module (N, D) -> (N, n_labels)` and `labels: Sequence[str]`: the source
      task's own head, on the last stage's mean over positions (or `pooled`). None where this module has none.
    - `reference: Path`: the plugin's kept reference file of its pretraining domain.
    - `fine_tuning(module) -> FineTuning | Mapping | None`: how the built network is fine-tuned, from its published
      recipe; a mapping has `FineTuning`'s fields as keys. Default: as was measured on EfficientNet-Lite.
    """

    @property
    def api_version(self) -> int:
        """The contract's version that the plugin was written for: a literal 1."""

    @property
    def input_size(self) -> int:
        """S, pixels: the side of the square pictures that the network was trained at."""

    @property
    def mean(self) -> tuple[float, float, float]:
        """RGB mean of inputs in [0, 1]."""

    @property
    def std(self) -> tuple[float, float, float]:
        """RGB standard deviation of inputs in [0, 1]."""

    @property
    def pretrained_on(self) -> str:
        """The pretraining set: "imagenet-1k", "faces", "none", ..."""

    def build(self, *, pretrained: bool = True) -> nn.Module:
        """Return a new network; two calls share nothing."""

    def stages(self, module: nn.Module) -> list[nn.Module]:
        """Return `module`'s parts from input to output.

        Run in order they map (N, 3, S, S) float32 to the last feature map.
        """


@runtime_checkable
class Family(Protocol):
    """Many backbones under one entry point: `timm:resnet50` is family `timm`, name `resnet50`.

    Optional: `local_names() -> Iterable[str]`, the names whose weights are on this machine, where that
    can be answered faster than by asking every backbone for its `weights()`; it may hold names that
    `names()` leaves out.
    """

    @property
    def api_version(self) -> int:
        """The contract's version that the plugin was written for: a literal 1."""

    def names(self) -> Iterable[str]:
        """Return the names that `get` is known to accept, without importing torch."""

    def get(self, name: str) -> Backbone:
        """Return one backbone, or raise an error that says what is wrong with `name`."""


@dataclass(frozen=True)
class WeightsInfo:
    """Where a backbone's weights come from, known without building the network."""

    identity: str
    """Changes whenever the weights change; part of every cache key."""
    n_bytes: int | None = None
    """Size of the file, in bytes; None where unknown."""
    local: bool = True
    """Whether they are on this machine."""
    address: str = ""
    """A file path, or where they would be downloaded from."""
    licence: str = ""
    """Licence of the weights; empty where unknown."""


@dataclass(frozen=True)
class FineTuning:
    """How a backbone is fine-tuned by AdamW, as was published with it."""

    learning_rate: float | None = None
    """Of the last stage, for steps of 16 to 32 pictures, 1e-5 to 1e-3; None: as was measured on EfficientNet-Lite."""
    layer_decay: float = 1.0
    """Learning rate of a stage over that of the stage after it, above 0 and at most 1."""
    undecayed: tuple[str, ...] = ()
    """Names of the module's parameters that weight decay leaves alone, besides all of one dimension."""

"""What a check gets: a backbone, built in the ways that the checks need, and a few real pictures."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from automl_tl.backbones.building import build_network
from automl_tl.backbones.contract import Backbone
from automl_tl.backbones.network import Network, normalise
from automl_tl.backbones.registry import installed_name, origin, weights_info
from automl_tl.backbones.stages import pool_stage
from automl_tl.data.decode import Preprocessing, preprocess
from automl_tl.devices import own_numbers
from automl_tl.errors import BackboneError
from automl_tl.resources import meta_path

N_PICTURES = 4


class Subject:
    """One backbone under examination.

    Networks are built when a check first asks for them and kept; a check changes only what `fresh` gives.
    Everything is on the CPU, float32, in eval mode.

    Args:
        backbone: The plugin's object.
        name: As the registry calls it, "my_backbone" or "family:name". Default: the registry's name of this
            very object, else the name of its class.
        pretrained: Whether to build it with its weights. Default: if they are on this machine.
    """

    def __init__(self, backbone: Backbone, name: str | None = None, *, pretrained: bool | None = None) -> None:
        self.backbone = backbone
        self.name = name or installed_name(backbone) or _type_name(backbone)
        self._pretrained = pretrained

    @property
    def label(self) -> str:
        """The name, with distribution and version where an installed plugin has that name."""
        where = origin(self.name)
        return f"{self.name} ({where})" if where else self.name

    @cached_property
    def without_weights(self) -> str:
        """Why it is examined with random weights; empty where it has its pretrained ones."""
        if self._pretrained is not None:
            return "" if self._pretrained else "asked for without pretrained weights"
        if getattr(self.backbone, "pretrained_on", "none") == "none":
            return 'it says pretrained_on = "none"'
        if not weights_info(self.name, self.backbone).local:
            return f"its weights are not on this machine; give a file with --weights {self.name}=FILE"
        return ""

    @cached_property
    def fault(self) -> str:
        """Why it cannot be built and run on one batch; empty where it can."""
        try:
            _ = self.network
        except BackboneError as error:
            return str(error)
        return ""

    @cached_property
    def network(self) -> Network:
        """The network that most checks look at; nobody changes it."""
        return self._built(1, pretrained=not self.without_weights)

    @cached_property
    def second(self) -> Network:
        """Another build, with the same weights, made while the random generator stood elsewhere."""
        return self._built(2, pretrained=not self.without_weights)

    @cached_property
    def untrained(self) -> Network:
        """A build with random weights."""
        return self._built(3, pretrained=False)

    def fresh(self, *, random: bool = False) -> Network:
        """Return a new build that the caller may change, with random weights where asked for."""
        return self._built(4, pretrained=not random and not self.without_weights)

    def _built(self, seed: int, *, pretrained: bool) -> Network:
        with own_numbers(seed):
            return build_network(self.name, self.backbone, pretrained=pretrained)

    @cached_property
    def x(self) -> Tensor:
        """Four photos of four kinds, (4, 3, S, S) float32, normalised as the backbone says."""
        files = [next(iter(sorted(folder.glob("*.jpg")))) for folder in kinds()[:N_PICTURES]]
        return normalise(self.pictures(files), self.backbone.mean, self.backbone.std)

    def pictures(self, files: list[Path]) -> Tensor:
        """Return files as uint8 (N, S, S, 3), squashed to the backbone's size."""
        filter_ = getattr(self.backbone, "interpolation", "bilinear")
        how = Preprocessing(size=self.backbone.input_size, interpolation=filter_)
        return torch.from_numpy(np.stack([preprocess(file, how) for file in files]))

    def outputs(self, x: Tensor, network: Network | None = None) -> list[Tensor]:
        """Return the outputs of all stages for `x`, without gradients; what a stage raises stays as it is."""
        found = []
        with torch.no_grad():
            for stage in (network or self.network).stages:
                x = stage(x)
                found.append(x)
        return found

    def read(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return of every stage its output for `x`, and the vectors (N, D) that features are made of."""
        network = self.network
        with torch.no_grad():
            return [(y, pool_stage(network, y, k).mean) for k, y in enumerate(self.outputs(x), start=1)]


def kinds() -> list[Path]:
    """Return the folders of the bundled photos, one per kind of thing, sorted."""
    return sorted(path for path in meta_path("demo").iterdir() if path.is_dir())


def relative_difference(a: Tensor, b: Tensor) -> float:
    """Return max |a - b| in units of max |b|; infinite where shapes differ or a value is not finite."""
    if a.shape != b.shape:
        return float("inf")
    gap, scale = (a.double() - b.double()).abs().max().item(), b.double().abs().max().item()
    return gap / max(scale, 1e-12) if np.isfinite(gap) else float("inf")


def gap_text(gap: float) -> str:
    """Return a relative difference for people: "0", "4e-06"."""
    return f"{gap:.0e}" if gap else "0"


def tensor_names(module: nn.Module) -> dict[int, str]:
    """Return {id: name} of all parameters and buffers."""
    named = [*module.named_parameters(), *module.named_buffers()]
    return {id(tensor): name for name, tensor in named}


def few(names: list[str], n: int = 3) -> str:
    """Return the first few names as text."""
    return ", ".join(names[:n]) + (", ..." if len(names) > n else "")


def _type_name(backbone: Backbone) -> str:
    own = getattr(backbone, "__name__", None)  # a module may be a plugin too
    return own if isinstance(own, str) else type(backbone).__name__

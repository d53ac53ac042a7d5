"""Where backbones are built and measured: the device, the caches, the user's overrides."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from automl_tl.backbones.contract import Backbone
from automl_tl.backbones.overrides import configure
from automl_tl.backbones.plugins import is_strict
from automl_tl.backbones.registry import get_backbone, local_backbones
from automl_tl.backbones.stages import Network, build_network
from automl_tl.backbones.trial import try_out
from automl_tl.data.decode import Preprocessing
from automl_tl.errors import BackboneError
from automl_tl.features.engine import Engine
from automl_tl.features.store import FeatureStore

_KEPT_NETWORKS = 3


@dataclass(frozen=True)
class Overrides:
    """What the user knows better than the plugins."""

    weights: Mapping[str, Path] = field(default_factory=dict)
    """Local weights files by backbone name."""
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    input_size: int | None = None


@dataclass
class Bench:
    """Builds backbones when they are needed and keeps the last few."""

    engine: Engine
    cache: Path
    overrides: Overrides
    _networks: OrderedDict[str, Network] = field(default_factory=OrderedDict)

    @property
    def store(self) -> FeatureStore:
        """The cache of features."""
        return FeatureStore(self.cache)

    def backbone(self, name: str) -> Backbone:
        """Return the backbone `name` with the user's overrides; raises BackboneError if there is none."""
        own = self.overrides
        return configure(
            name,
            get_backbone(name),
            weights=own.weights.get(name),
            mean=own.mean,
            std=own.std,
            input_size=own.input_size,
        )

    def network(self, name: str) -> Network:
        """Return the built backbone `name`; raises BackboneError if it is broken or has no weights."""
        if name not in self._networks:
            backbone, device = self.backbone(name), self.engine.device
            try_out(name, backbone, device=device, memory=self.cache / "preflight")
            self._networks[name] = build_network(name, backbone, device=device)
            while len(self._networks) > _KEPT_NETWORKS:
                self._networks.popitem(last=False)
        self._networks.move_to_end(name)
        return self._networks[name]

    def preprocessing(self, name: str, fit: str) -> Preprocessing:
        """Return how pictures are prepared for backbone `name`."""
        backbone = self.backbone(name)
        return Preprocessing(
            size=backbone.input_size,
            fit=fit,
            interpolation=getattr(backbone, "interpolation", "bilinear"),
            fill=tuple(round(255 * value) for value in backbone.mean),  # type: ignore[arg-type]
        )


def usable_backbones(bench: Bench, wanted: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the backbones to consider, and a note for each that had to be left out.

    One that the user gave a weights file for is considered in any case.

    Args:
        bench: builds them.
        wanted: names that the user gave; "all" or none means all whose weights are on this machine.

    Raises:
        BackboneError: a backbone that the user named cannot be used, or none is left; any one that cannot be
            used where $AUTOML_TL_STRICT_PLUGINS is set.
    """
    weights = bench.overrides.weights
    named = [name for name in wanted if name != "all"]
    default = local_backbones() if "all" in wanted or not named else []
    names, notes = [], []
    for name in dict.fromkeys([*named, *weights, *default]):
        try:
            bench.network(name)
        except BackboneError as error:
            if name in named or name in weights or is_strict():
                raise
            notes.append(f"{name} is left out: {error}")
        else:
            names.append(name)
    if not names:
        raise BackboneError(
            "no backbone can be used: " + ("; ".join(notes) or "none is installed with its weights on this machine")
        )
    return tuple(names), tuple(notes)

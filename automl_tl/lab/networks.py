"""The built backbones, with the user's overrides, on one device."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from automl_tl.backbones.contract import Backbone
from automl_tl.backbones.overrides import Triple, configure
from automl_tl.backbones.preflight import try_out
from automl_tl.backbones.registry import get_backbone
from automl_tl.backbones.stages import Network, build_network
from automl_tl.data.decode import Preprocessing
from automl_tl.data.value_range import EIGHT_BITS, ValueRange
from automl_tl.features.engine import Engine
from automl_tl.features.extract import Pass
from automl_tl.features.pixels import PixelStore
from automl_tl.features.store import FeatureStore
from automl_tl.lab.runtime_choice import choose_runtime

_KEPT_NETWORKS = 3


@dataclass(frozen=True)
class Overrides:
    """What the user knows better than the plugins."""

    weights: Mapping[str, Path] = field(default_factory=dict)
    """Local weights files by backbone name."""
    mean: Triple | None = None
    std: Triple | None = None
    input_size: int | None = None


@dataclass(eq=False)
class Networks:
    """Builds backbones when they are needed and keeps the last few.

    Args:
        engine: where they run.
        cache: folder of what is kept between runs.
        overrides: what the user knows better.
        named: backbones that the user asked for by name; what they raise is raised, others are left out with a note.
        value_range: of the pictures that they are shown.
        n_pictures: whose features may be asked for; for many, a runtime is chosen that takes time to prepare.
        hurried: whether no runtimes are measured; a choice that is known already counts.
    """

    engine: Engine
    cache: Path
    overrides: Overrides = field(default_factory=Overrides)
    named: frozenset[str] = frozenset()
    value_range: ValueRange = EIGHT_BITS
    n_pictures: int = 0
    hurried: bool = False
    _networks: OrderedDict[str, Network] = field(default_factory=OrderedDict)
    _keys: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict, init=False)

    @property
    def store(self) -> FeatureStore:
        """The cache of features."""
        return FeatureStore(self.cache)

    @cached_property
    def pixels(self) -> PixelStore:
        """What was decoded in this process."""
        return PixelStore(self.cache, threads=self.engine.workers)

    def computed_by(self, engine: Engine) -> Networks:
        """Return the same networks and pixels for another engine."""
        other = replace(self, engine=engine)
        other.pixels = self.pixels
        return other

    def __reduce__(self) -> tuple[object, ...]:
        """Travel to another process without what is built: whoever works there builds it once."""
        n_pictures = 0 if self.hurried else self.n_pictures
        return _in_this_process, (self.engine, self.cache, self.overrides, self.named, self.value_range, n_pictures)

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

    @property
    def timing(self) -> Path:
        """Folder of what was timed on this machine."""
        return self.cache / "timing"

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

    def n_parameters(self, name: str) -> int:
        """Return the parameters of the stages of backbone `name`, shared ones once; raises as `network` does."""
        own = {id(p): p.numel() for stage in self.network(name).stages for p in stage.parameters()}
        return sum(own.values())

    def preprocessing(self, name: str, fit: str) -> Preprocessing:
        """Return how pictures are prepared for backbone `name`."""
        backbone = self.backbone(name)
        return Preprocessing(
            size=backbone.input_size,
            fit=fit,
            interpolation=getattr(backbone, "interpolation", "bilinear"),
            fill=tuple(round(255 * value) for value in backbone.mean),  # type: ignore[arg-type]
            value_range=self.value_range,
        )

    def way(self, name: str, fit: str, view: str = "plain") -> Pass:
        """Return how pictures go through backbone `name`, by the runtime that has their features soonest.

        Raises:
            BackboneError: see `network`.
        """
        network = self.network(name)
        engine = choose_runtime(network, self.engine, self.n_pictures, self.timing, hurried=self.hurried)
        return Pass(network, self.preprocessing(name, fit), engine, view, pixels=self.pixels)

    def key(self, name: str, fit: str, view: str = "plain") -> dict[str, Any]:
        """Return the key of `way`, for which a backbone is built only once.

        Raises:
            BackboneError: see `network`.
        """
        asked = (name, fit, view)
        if asked not in self._keys:
            self._keys[asked] = self.way(*asked).key
        return self._keys[asked]


_KEPT = 4
"""Networks that a process keeps for work that is sent to it: those of as many data sets, settings or weights."""
_here: OrderedDict[str, Networks] = OrderedDict()


def _in_this_process(
    engine: Engine, cache: Path, overrides: Overrides, named: frozenset[str], value_range: ValueRange, n_pictures: int
) -> Networks:
    """Return the same networks for the same arguments, so that every piece of work in a process shares them.

    A weights file that was replaced is another one.
    """
    own = overrides
    weights = [(name, file, _state_of(file)) for name, file in sorted(own.weights.items())]
    key = repr((engine, cache, weights, own.mean, own.std, own.input_size, sorted(named), value_range, n_pictures))
    found = _here.setdefault(key, Networks(engine, cache, overrides, named, value_range, n_pictures))
    _here.move_to_end(key)
    while len(_here) > _KEPT:
        _here.popitem(last=False)
    return found


def _state_of(file: Path) -> tuple[int, int] | None:
    """Return what tells a file from one that had its name before: size and time of its last change."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns

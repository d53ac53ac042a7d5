"""Where backbones are built and measured: the device, the caches, the user's overrides."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from automl_tl.backbones import presets
from automl_tl.backbones.contract import Backbone, WeightsInfo
from automl_tl.backbones.overrides import configure
from automl_tl.backbones.plugins import is_strict
from automl_tl.backbones.presets import EVERYTHING, expand
from automl_tl.backbones.registry import get_backbone, local_backbones, weights_info
from automl_tl.backbones.stages import Network, build_network
from automl_tl.backbones.trial import try_out
from automl_tl.data.decode import Preprocessing
from automl_tl.errors import BackboneError
from automl_tl.features.engine import Engine
from automl_tl.features.store import FeatureStore
from automl_tl.lab.downloads import announcement

_KEPT_NETWORKS = 3
T = TypeVar("T")
Notice = Callable[[str], None]
"""Given a line for the user."""


def unheard(line: str) -> None:
    """Tell nobody."""


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


def usable_backbones(
    bench: Bench, wanted: Sequence[str], *, notice: Notice = unheard
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the backbones to consider, and a note for each that had to be left out.

    One that the user gave a weights file for is considered in any case. Of a preset those are left out that cannot
    be fetched or built.

    Args:
        bench: builds them.
        wanted: names and presets that the user gave; "all" or none means all whose weights are on this machine.
        notice: told, line by line and before anything is fetched, what is not on this machine, with sizes and licences.

    Raises:
        BackboneError: a backbone that the user named cannot be used, or none is left; any one that cannot be
            used where $AUTOML_TL_STRICT_PLUGINS is set.
    """
    default = local_backbones() if EVERYTHING in wanted or not wanted else []
    asked = [name for name in wanted if name != EVERYTHING]
    candidates = tuple(dict.fromkeys([*expand(asked, bench.engine.device), *bench.overrides.weights, *default]))
    for line in announcement(_known_weights(bench, candidates)):
        notice(line)

    def build(name: str) -> None:  # returns nothing: of many networks the bench keeps only a few
        bench.network(name)

    built, notes = without_broken(bench, candidates, build, named=frozenset(asked))
    if not built:
        raise BackboneError(_none_left([name for name in asked if name in presets.NAMES], notes))
    return tuple(built), notes


def without_broken(
    bench: Bench, names: Sequence[str], work: Callable[[str], T], *, named: frozenset[str] = frozenset()
) -> tuple[dict[str, T], tuple[str, ...]]:
    """Return what `work` gives by backbone, and a note for each backbone that fails at it and is left out.

    Args:
        bench: knows whose weights the user gave.
        names: backbones, in order.
        work: called with each name.
        named: those that the user asked for by name; what they raise is raised.

    Raises:
        BackboneError: one that was named, or has the user's weights, fails; any one in strict mode.
    """
    results: dict[str, T] = {}
    notes = []
    for name in names:
        try:
            results[name] = work(name)
        except BackboneError as error:
            if name in named or name in bench.overrides.weights or is_strict():
                raise
            notes.append(f"{name} is left out: {error}")
    return results, tuple(notes)


def _known_weights(bench: Bench, names: Sequence[str]) -> dict[str, WeightsInfo]:
    """Return where the weights of those backbones are that can say so; the others fail when they are built."""
    found = {}
    for name in names:
        with suppress(BackboneError):
            found[name] = weights_info(name, bench.backbone(name))
    return found


def _none_left(asked: Sequence[str], notes: Sequence[str]) -> str:
    """Return the sentence for no backbone at all; after a preset, with the way out that needs no hub."""
    if not notes:
        return "no backbone can be used: none is installed with its weights on this machine"
    if not asked:
        return f"no backbone can be used: {'; '.join(notes)}"
    first = notes[0].partition(" is left out: ")[2]
    more = f" (and {len(notes) - 1} more)" if len(notes) > 1 else ""
    here = ", ".join(local_backbones()[:3])
    way_out = f"; without --backbone those on this machine are considered ({here})" if here else ""
    return f"nothing of the preset {' or '.join(asked)} can be used: {first}{more}{way_out}"

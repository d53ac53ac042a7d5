"""What every trial shares: the pictures, their folds and pixels, the backbones, and what is to be good."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from automl_tl.features.extract import Features, extract
from automl_tl.features.pixels import Pixels
from automl_tl.lab.networks import Networks
from automl_tl.lab.sample import Sample
from automl_tl.learning.activations import MAX_BYTES, ActivationCache
from automl_tl.learning.carried import Carried
from automl_tl.learning.configuration import VIEW_SETS, Configuration
from automl_tl.learning.kept import Kept
from automl_tl.learning.pixels import load_pixels
from automl_tl.learning.scores import Metric
from automl_tl.learning.trainer import Material


@dataclass(eq=False)
class Computed:
    """What a process has computed for a task and may need again; another one, where a task travels, has its own."""

    pixels: dict[str, Pixels] = field(default_factory=dict)
    """Of one backbone at a time, uint8 (n, S, S, 3)."""
    views: dict[tuple[str, str], Features] = field(default_factory=dict)
    """By backbone and view."""
    solved: Kept = field(default_factory=Kept)
    """Spectra and solved heads, by what they depend on."""
    activations: tuple[Configuration, ActivationCache] | None = None
    """Of the configuration that is being trained, fold after fold."""
    identity: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Of the task, wherever it travels."""

    def __reduce__(self) -> tuple[object, ...]:
        return _in_this_process, (self.identity,)


_KEPT = 2
"""Tasks of which a process keeps what it has computed: the trials' and, in the end, that of every picture."""
_here: OrderedDict[str, Computed] = OrderedDict()


def _in_this_process(identity: str) -> Computed:
    """Return the same for the same task, so that every piece of work in a process shares it."""
    computed = _here.setdefault(identity, Computed(identity=identity))
    _here.move_to_end(identity)
    while len(_here) > _KEPT:
        _here.popitem(last=False)
    return computed


@dataclass(frozen=True, eq=False)
class Task:
    """One data set to be learned, with everything that is computed once for it; it can be pickled."""

    networks: Networks
    sample: Sample
    """Training pictures with their folds; a given validation part is fold 0."""
    fit: str
    metric: Metric
    seed: int
    scratch: Path
    """Folder for memory-mapped files."""
    features: Mapping[str, Features]
    """By backbone, of the pictures as they are."""
    allowed_views: frozenset[str] = frozenset()
    """Fixed views that leave the label as it is."""
    n_folds: int = 1
    """Folds that a trained candidate is scored on: 0 to `n_folds` - 1."""
    max_bytes: int = MAX_BYTES
    """Bound of the activations that one trial keeps."""
    computed: Computed = field(default_factory=Computed)
    carried: Carried | None = None
    """What training goes on from; None for the pretrained stages."""

    @cached_property
    def digest(self) -> str:
        """Identity of the pictures, their order, classes and folds: what a row number means."""
        content = [[picture.sha256 for picture in self.sample.pictures], self.y.tolist(), self.sample.folds.tolist()]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    @property
    def y(self) -> np.ndarray:
        """int (n,), the classes."""
        return self.sample.y

    @property
    def n_classes(self) -> int:
        """C."""
        return len(self.sample.classes)

    @property
    def everything(self) -> np.ndarray:
        """int (n,), all rows."""
        return np.arange(self.sample.n)

    @property
    def n_trained(self) -> int:
        """Pictures that a trained candidate learns from in its first fold."""
        return self.sample.n - len(self.held_out(0))

    def held_out(self, fold: int) -> np.ndarray:
        """Return the rows of a fold, int (m,)."""
        return np.flatnonzero(self.sample.folds == fold)

    def material(self, configuration: Configuration) -> Material:
        """Return what a trained configuration learns from; its pixels are decoded once."""
        name = configuration.backbone
        return Material(
            self.networks.network(name), self.pixels(name), self.matrix(*configuration.source), self.y, self.n_classes,
            self.networks.engine.for_training, self.seed, self.scratch, self.max_bytes, self.computed.solved,
            self.carried, self.sample.groups,
        )  # fmt: skip

    def views(self, name: str) -> tuple[str, ...]:
        """Return the allowed views of a set of VIEW_SETS."""
        return tuple(view for view in VIEW_SETS[name] if view in self.allowed_views)

    def matrix(self, backbone: str, cuts: tuple[int, ...], pooling: str, view: str = "plain") -> np.ndarray:
        """Return features float32 (n, d) of every picture seen as `view`; extracted once, then from the store."""
        if view == "plain":
            return self.features[backbone].matrix(cuts, pooling)
        if not self.has_view(backbone, view):
            way = self.networks.way(backbone, self.fit, view)
            self.computed.views[backbone, view] = extract(way, self.sample.pictures, self.networks.store)
        return self.computed.views[backbone, view].matrix(cuts, pooling)

    def has_view(self, backbone: str, view: str) -> bool:
        """Return whether the features of a view are known already."""
        return (backbone, view) in self.computed.views

    def pixels(self, backbone: str) -> Pixels:
        """Return the pictures as a backbone takes them, uint8 (n, S, S, 3); decoded once."""
        if backbone not in self.computed.pixels:
            self.computed.pixels.clear()  # those of another backbone, which are kept in the store where there is room
            how, store = self.networks.preprocessing(backbone, self.fit), self.networks.pixels
            self.computed.pixels[backbone] = load_pixels(self.sample.pictures, how, self.scratch, store=store)
        return self.computed.pixels[backbone]

"""One forward pass gives the pooled statistics of every stage of a backbone.

Pictures are decoded by threads while the network computes (`PixelStore`), and what was computed is kept in a
`FeatureStore`, so that nothing is computed twice, not even after an interruption.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field, replace
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import torch

from automl_tl.augment.policy import fixed_view
from automl_tl.backbones.blame import blaming
from automl_tl.backbones.plugins import Plugin, source_files
from automl_tl.backbones.registry import installed_plugin, origin
from automl_tl.backbones.stages import POOLINGS, Network, normalise
from automl_tl.data.decode import DECODER, Preprocessing
from automl_tl.devices import to_device, to_host
from automl_tl.errors import BackboneError
from automl_tl.features import store
from automl_tl.features.batch_size import pictures_at_once
from automl_tl.features.engine import Engine
from automl_tl.features.halving import halving
from automl_tl.features.picture import Picture
from automl_tl.features.pixels import PixelStore
from automl_tl.features.runtimes import installed_openvino, prepare
from automl_tl.monitor import Progress, unheeded
from automl_tl.work import ThisProcess

SHARD_SIZE = 512
_HALF = (2**-14 * 1000, 6e4)
"""Largest values of arrays that float16 holds to three digits, down to a thousandth of them."""
Report = Callable[[Sequence[str], Mapping[str, np.ndarray]], None]
"""Given the hashes of a batch of pictures and their statistics."""


Submit = Callable[[Sequence[Picture], Report], Future[None]]
"""Has a shard of pictures computed, and its batches reported."""


@dataclass(frozen=True)
class Features:
    """The statistics of n pictures at every stage of one backbone, read from disk as they are asked for."""

    backbone: str
    n_stages: int
    n: int
    slices: tuple[store.Slice, ...]

    def matrix(self, cuts: Sequence[int], pooling: str = "mean") -> np.ndarray:
        """Return the features of stages `cuts` (counted from 1), joined: float32 (n, d).

        Args:
            cuts: stages whose outputs are pooled; each contributes its channels once per statistic.
            pooling: "mean", "mean+std", "mean+patches" (the last stage's own vector and the mean), or "grid" (the means
                of the 2x2 quarters).
        """
        parts = [store.read(self.slices, f"{cut}/{name}") for cut in cuts for name in POOLINGS[pooling]]
        return np.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]

    def has_grid(self, cut: int) -> bool:
        """Return whether stage `cut` puts out a map or tokens enough for quarters."""
        return f"{cut}/grid" in store.names(self.slices)

    @property
    def has_patches(self) -> bool:
        """Whether the last stage has a vector of its own beside the mean over its positions."""
        return f"{self.n_stages}/patches" in store.names(self.slices)

    def take(self, rows: np.ndarray) -> Features:
        """Return the features of the pictures `rows` (int, (m,)), in that order."""
        position = np.full(self.n, -1)
        position[rows] = np.arange(len(rows))
        slices = []
        for part in self.slices:
            kept = position[part.targets] >= 0
            if kept.any():
                slices.append(replace(part, rows=part.rows[kept], targets=position[part.targets[kept]]))
        return Features(self.backbone, self.n_stages, len(rows), tuple(slices))


@dataclass(frozen=True, eq=False)
class Pass:
    """How pictures go through a network."""

    network: Network
    """Built, in eval mode."""
    how: Preprocessing
    engine: Engine
    view: str = "plain"
    """Of `fixed_view`."""
    batch_size: int | None = None
    """Pictures at once; None for the engine's, or what suits its device."""
    pixels: PixelStore = field(default_factory=PixelStore)
    """What was decoded before; by default nothing is kept."""

    @property
    def at_once(self) -> int:
        """Pictures that go through the network at once."""
        return self.batch_size or self.engine.batch_size or pictures_at_once(self.network)

    @property
    def key(self) -> dict[str, Any]:
        """Everything that changes a feature but the picture itself."""
        network, backbone = self.network, self.network.backbone
        return {
            "backbone": network.name,
            "plugin": _plugin(network.name),
            "weights": network.weights.identity,
            "channels": list(network.channels),
            "sizes": list(network.sizes),
            "layouts": list(network.layouts),
            "own vector": network.has_own_vector,
            "mean": list(backbone.mean),
            "std": list(backbone.std),
            "preprocessing": asdict(self.how),
            "view": self.view,
            "engine": self.engine.name,
            "openvino": installed_openvino() if self.engine.runtime == "openvino" else "",
            "decoder": DECODER,
            "torch": torch.__version__.split("+")[0],
        }


@cache
def _source(plugin: Plugin) -> str:
    """Return a digest of a plugin's Python files as they were when this process first asked."""
    found = hashlib.sha256()
    for file in source_files(plugin):
        found.update(hashlib.sha256(file.read_bytes()).digest())
    return found.hexdigest()[:16]


def _plugin(name: str) -> str:
    """Return the distribution and version of a plugin, and a digest of its Python files, which may be edited in place.

    Of those that come with automl-tl nothing, as each release has another version and their stages stay, but of a
    library that they take networks from ("timm:resnet18").
    """
    plugin = installed_plugin(name)
    if plugin is not None and not plugin.bundled:
        return f"{origin(name)} {_source(plugin)}"
    library, colon, _ = name.partition(":")
    try:
        return f"{library} {version(library)}" if colon else ""
    except PackageNotFoundError:
        return ""


def extract(
    way: Pass,
    pictures: Sequence[Picture],
    features_store: store.FeatureStore,
    *,
    progress: Progress = unheeded,
    submit: Submit | None = None,
    n_workers: int = 1,
) -> Features:
    """Return the statistics of `pictures` at every stage; a picture that is in the store costs no pass.

    Args:
        way: how they go through the network.
        pictures: n of them.
        features_store: what is kept between runs.
        progress: called with (done, total) pictures that were missing in the store.
        submit: has pictures computed elsewhere; default: here.
        n_workers: that compute; one of them gets all pictures at once, so that decoding never waits.

    Raises:
        DataError: a picture cannot be read although it could when the data set was scanned.
        BackboneError: the backbone fails on a batch; what was computed before it is kept.
    """
    table = features_store.table(way.key)
    unique = {picture.sha256: picture for picture in pictures}
    table.hold(unique)
    table.forget_damaged(unique)
    missing = sorted((picture for key, picture in unique.items() if key not in table), key=lambda one: one.place)
    if missing:
        size = SHARD_SIZE if n_workers > 1 else len(missing)
        shards = [missing[start : start + size] for start in range(0, len(missing), size)]
        _compute(table, shards, submit or partial(_here, way), n_workers, progress)
        features_store.trim()
    slices = table.slices([picture.sha256 for picture in pictures])
    return Features(way.network.name, way.network.n_stages, len(pictures), slices)


def _compute(
    table: store.FeatureTable, shards: Sequence[Sequence[Picture]], submit: Submit, at_once: int, progress: Progress
) -> None:
    """Have shards computed, so many at once; what is known when some fail, or at an interruption, is kept."""
    waiting, total = _Shard(table), sum(map(len, shards))
    submitted: deque[Future[None]] = deque()

    def keep(keys: Sequence[str], arrays: Mapping[str, np.ndarray]) -> None:
        waiting.add(keys, arrays)
        progress(waiting.done, total)

    try:
        for shard in shards:
            submitted.append(submit(shard, keep))
            if len(submitted) >= at_once:
                submitted.popleft().result()
        while submitted:
            submitted.popleft().result()
    finally:
        waiting.flush()


def _here(way: Pass, pictures: Sequence[Picture], report: Report) -> Future[None]:
    return ThisProcess().submit(compute_shard, way, pictures, report=report)


def compute_shard(way: Pass, pictures: Sequence[Picture], *, report: Report) -> None:
    """Decode some pictures and run them; report the hashes and the `statistics` of every batch."""
    pinned = way.engine.kind == "cuda"
    for batch, images in way.pixels.batches(pictures, way.how, way.at_once, pinned=pinned):
        report([picture.sha256 for picture in batch], statistics(way.network, images, way.engine, way.view))


class _Shard:
    """Batches of features on their way to the disk."""

    def __init__(self, table: store.FeatureTable) -> None:
        self.table = table
        self.done = 0
        self.keys: list[str] = []
        self.parts: list[Mapping[str, np.ndarray]] = []

    def add(self, keys: Sequence[str], arrays: Mapping[str, np.ndarray]) -> None:
        self.keys += keys
        self.parts.append(arrays)
        self.done += len(keys)
        if len(self.keys) >= SHARD_SIZE:
            self.flush()

    def flush(self) -> None:
        keys, parts, self.keys, self.parts = self.keys, self.parts, [], []  # tried once, also on a full disk
        if keys:
            joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
            self.table.add(keys, {name: _compact(values) for name, values in joined.items()})


def statistics(network: Network, images: torch.Tensor, engine: Engine, view: str = "plain") -> dict[str, np.ndarray]:
    """Return mean, std and quarters of every stage for one batch, float32 by names like "3/mean".

    Where memory does not suffice for the batch it is halved.

    Args:
        network: a built backbone in eval mode.
        images: (N, S, S, 3) uint8, on the CPU.
        engine: where and in which number format.
        view: of `fixed_view`.

    Raises:
        BackboneError: a stage raises, loses pictures, or gives NaN or infinite values.
        ShortageError: one picture at a time does not fit into memory.
    """
    return halving(partial(_statistics, network, images, engine, view), len(images))[0]


def _statistics(network: Network, images: torch.Tensor, engine: Engine, view: str, parts: int) -> dict[str, np.ndarray]:
    """Return the statistics of a batch that goes through the network in so many parts."""
    found = [_checked(network, part, engine, view) for part in images.tensor_split(min(parts, len(images)))]
    return {name: np.concatenate([one[name] for one in found]) for name in found[0]} if parts > 1 else found[0]


def _checked(network: Network, images: torch.Tensor, engine: Engine, view: str) -> dict[str, np.ndarray]:
    with blaming(network.name, f"could not be run on {len(images)} pictures"):
        found = _found(network, images, engine, view)
        if engine.dtype == "float16" and not all(np.isfinite(array).all() for array in found.values()):
            found = _found(network, images, replace(engine, dtype="float32"), view)  # it ends at 65,504
        for name, array in found.items():
            _check_values(network, name, array)
    return found


def _found(network: Network, images: torch.Tensor, engine: Engine, view: str) -> dict[str, np.ndarray]:
    """Return the statistics of a batch on the host."""
    pooled = _pooled(network, images, engine, view)
    for name, values in pooled.items():
        _check_rows(network, name, values, len(images))
    return to_host(pooled)


def _pooled(network: Network, images: torch.Tensor, engine: Engine, view: str) -> Mapping[str, torch.Tensor]:
    """Return the statistics of a batch where they are computed, without waiting for them."""
    backbone, run = network.backbone, prepare(network, engine)
    with torch.inference_mode(), engine.autocast():
        inputs = normalise(to_device(images, engine.device), backbone.mean, backbone.std)
        inputs = fixed_view(inputs, view).contiguous(memory_format=torch.channels_last)
        return run(inputs)


def _check_rows(network: Network, name: str, values: torch.Tensor, n: int) -> None:
    """Raise BackboneError where the statistics "3/mean" are not those of a batch of `n` pictures."""
    if len(values) != n:
        where = _stage(network, name)
        raise BackboneError(f"{where} must give one row for each of {n} pictures, but gave {len(values)}")


def _check_values(network: Network, name: str, values: np.ndarray) -> None:
    """Raise BackboneError where the statistics "3/mean" of a batch cannot be features."""
    bad, n = int((~np.isfinite(values).all(axis=1)).sum()), len(values)
    if bad:
        raise BackboneError(
            f"{_stage(network, name)} must give finite values, but gave NaN or infinite ones for {bad} of {n} pictures"
        )


def _stage(network: Network, name: str) -> str:
    return f"{network.name}: stage {name.partition('/')[0]} of {network.n_stages}"


def _compact(values: np.ndarray) -> np.ndarray:
    """Return float16 where it holds the values to three digits, but for the least of them, else float32."""
    least, most = _HALF
    return values.astype(np.float16) if least <= np.abs(values).max(initial=0.0) < most else values

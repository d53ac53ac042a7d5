"""What a backbone's own pretraining domain looks like: a small file made once from source pictures.

A reference holds no picture and no embedding, only mean maps (see `kernel`), one per stage, and what makes
distances of different backbones comparable: the bandwidth from the source pictures' own distances, the
split-half null, and how far the source pictures' grey, blurred, low-resolution and edge versions lie.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFilter
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load, save

from automl_tl.backbones.stages import Network
from automl_tl.data.decode import Preprocessing
from automl_tl.domain import kernel
from automl_tl.errors import DomainReferenceError
from automl_tl.features.engine import Engine
from automl_tl.features.extract import statistics
from automl_tl.features.picture import Picture
from automl_tl.features.pixels import batches
from automl_tl.foreign import is_a, number, numbers, parse_json, read_bytes, triple, whole_number
from automl_tl.monitor import Progress
from automl_tl.output import whole
from automl_tl.wording import clean, one_line

FORMAT_VERSION = 1
BANDWIDTH_SHARE = 0.4
"""Bandwidth as a share of the median distance between source embeddings; .5 for EfficientNet-Lite0 on ImageNet."""
MIN_PICTURES = 50
_N_DEGRADED = 200
_LARGEST = 64 * 1024**2  # bytes of a reference's file; one of 12 stages has 50 kB


@dataclass(frozen=True)
class DomainReference:
    """A kept description of one backbone's pretraining domain."""

    name: str
    """What the source pictures were, for people: "ImageNet-1k, 1000 pictures"."""
    backbone: str
    weights: str
    """Identity of the weights that made the embeddings; other weights need another reference."""
    input_size: int
    """S, pixels; with `mean` and `std` what the embeddings depend on besides weights and pictures."""
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    n_pictures: int
    bandwidths: tuple[float, ...]
    """One per stage."""
    self_similarities: tuple[float, ...]
    """Mean kernel value between two different source pictures, one per stage."""
    null: float
    """Distance between two halves of the source pictures: what no difference looks like."""
    degraded: dict[str, float]
    """Distance of the source pictures' own degraded versions, by name."""
    maps: np.ndarray
    """float16 (n_stages, 2 * kernel.N_FREQUENCIES): the mean maps."""

    @property
    def n_stages(self) -> int:
        """Number of stages that the reference describes."""
        return len(self.bandwidths)

    @property
    def scale(self) -> float:
        """The distance that this backbone calls far: the mean over the degraded versions."""
        return float(np.mean(list(self.degraded.values())))

    def fits(self, network: Network) -> bool:
        """Return whether it was made with the weights and the input that `network` has."""
        backbone = network.backbone
        ours = (self.weights, self.n_stages, self.input_size, self.mean, self.std)
        mean, std = tuple(backbone.mean), tuple(backbone.std)  # a plugin's may be lists
        theirs = (network.weights.identity, network.n_stages, backbone.input_size, mean, std)
        return ours == theirs

    def likeness(self, embeddings: np.ndarray) -> np.ndarray:
        """Return the mean kernel value with the source pictures of each of `embeddings` (n, d) of the last stage."""
        return kernel.similarity_to(kernel.unit(embeddings), self.maps[-1], self.bandwidths[-1])

    def compare(self, embeddings: np.ndarray, stage: int | None = None, groups: np.ndarray | None = None) -> Comparison:
        """Return the kernel values of `embeddings` (n, d) of stage `stage` (counted from 1; default: the last).

        groups: int (n,), pictures that belong together; None: none do.
        """
        index = (stage or self.n_stages) - 1
        rows, width = kernel.unit(embeddings), self.bandwidths[index]
        return Comparison(
            within=kernel.gaussian(rows, rows, width),
            across=kernel.similarity_to(rows, self.maps[index], width),
            source=self.self_similarities[index],
            groups=groups,
        )

    def distance(self, embeddings: np.ndarray, stage: int | None = None, groups: np.ndarray | None = None) -> float:
        """Return the unbiased squared MMD of `embeddings` (n, d) of a stage (default: the last); see `compare`."""
        return self.compare(embeddings, stage, groups).distance()


@dataclass(frozen=True)
class Comparison:
    """Kernel values between pictures and a reference, from which any subset's distance follows."""

    within: np.ndarray
    """(n, n), between the pictures."""
    across: np.ndarray
    """(n,), each picture's mean kernel value with the source pictures."""
    source: float
    """Mean kernel value between two different source pictures."""
    groups: np.ndarray | None = None
    """int (n,): frames of one video or copies of a picture are alike whatever domain they are of."""

    def distance(self, rows: np.ndarray | None = None) -> float:
        """Return the unbiased squared MMD of the pictures `rows` (int (m,); default: all)."""
        within = self.within if rows is None else self.within[np.ix_(rows, rows)]
        across = self.across if rows is None else self.across[rows]
        groups = self.groups if rows is None or self.groups is None else self.groups[rows]
        return kernel.self_similarity(within, groups) + self.source - 2 * float(across.mean())


def build_reference(
    network: Network, pictures: Sequence[Picture], engine: Engine, *, name: str, progress: Progress | None = None
) -> DomainReference:
    """Make a reference from pictures of the backbone's own pretraining set.

    Args:
        network: the built backbone.
        pictures: at least `MIN_PICTURES`, better a thousand, spread over the source classes.
        engine: where to compute.
        name: what the pictures are, for people.
        progress: called with (done, total).

    Raises:
        DomainReferenceError: too few pictures, or such that nothing is far from them.
    """
    if len(pictures) < MIN_PICTURES:
        raise DomainReferenceError(
            f"a reference needs at least {MIN_PICTURES} pictures of the source domain, got {len(pictures)}; "
            "1,000 spread over its classes are better"
        )
    stages = _embed(network, pictures, engine, progress=progress)
    plain = _undegraded(network, stages, name)
    every = max(1, len(pictures) // _N_DEGRADED)
    degraded = {
        label: _distance_of_versions(plain, stages[-1][::every], _embed(network, pictures[::every], engine, change)[-1])
        for label, change in DEGRADATIONS.items()
    }
    found = replace(plain, degraded=degraded)
    if not found.scale > 0:
        raise DomainReferenceError(
            f"the source pictures and their degraded versions ({', '.join(DEGRADATIONS)}) are all the same to "
            f"{network.name}, so it has no scale of distances: give more and more varied pictures"
        )
    return found


def _distance_of_versions(plain: DomainReference, rows: np.ndarray, versions: np.ndarray) -> float:
    """Return the unbiased squared MMD to the reference of changed versions (m, d) of some of its own pictures (m, d).

    A picture is nearer to its own version than to others', which says nothing of the domain, so it is left out.
    """
    found, n = plain.compare(versions), plain.n_pictures
    squared = ((rows - versions) ** 2).sum(axis=1)
    own = np.exp(-squared / (2 * plain.bandwidths[-1] ** 2))
    return replace(found, across=(n * found.across - own) / (n - 1)).distance()


def _undegraded(network: Network, stages: Sequence[np.ndarray], name: str) -> DomainReference:
    """Return the reference of every stage's embeddings (n, d), before degraded pictures are looked at."""
    bandwidths = [BANDWIDTH_SHARE * kernel.median_distance(rows) for rows in stages]
    if min(bandwidths) <= 0:
        stage = bandwidths.index(min(bandwidths)) + 1
        raise DomainReferenceError(
            f"the source pictures look all the same to stage {stage} of {network.name}: give more varied pictures"
        )
    kernels = [kernel.gaussian(rows, rows, width) for rows, width in zip(stages, bandwidths, strict=True)]
    maps = np.stack([kernel.mean_map(rows, width) for rows, width in zip(stages, bandwidths, strict=True)])
    return DomainReference(
        name=name,
        backbone=network.name,
        weights=network.weights.identity,
        input_size=network.backbone.input_size,
        mean=network.backbone.mean,
        std=network.backbone.std,
        n_pictures=len(stages[0]),
        bandwidths=tuple(bandwidths),
        self_similarities=tuple(kernel.self_similarity(k) for k in kernels),
        null=_split_half(kernels[-1]),
        degraded={},
        maps=maps.astype(np.float16),
    )


def _embed(
    network: Network,
    pictures: Sequence[Picture],
    engine: Engine,
    change: Callable[[Image.Image], Image.Image] | None = None,
    progress: Progress | None = None,
) -> list[np.ndarray]:
    """Return the unit embeddings of every stage, float64 (n, d) each."""
    how = reference_preprocessing(network)
    parts: list[list[np.ndarray]] = [[] for _ in network.stages]
    done = 0
    for batch, images in batches(pictures, how):
        pixels = images if change is None else torch.from_numpy(np.stack([_changed(i, change) for i in images.numpy()]))
        values = statistics(network, pixels, engine)
        for stage, part in enumerate(parts, 1):
            part.append(values[f"{stage}/mean"])
        done += len(batch)
        if progress:
            progress(done, len(pictures))
    return [kernel.unit(np.concatenate(part)) for part in parts]


def reference_preprocessing(network: Network) -> Preprocessing:
    """Return how source pictures are prepared: squashed to the backbone's own size."""
    backbone = network.backbone
    return Preprocessing(backbone.input_size, "squash", getattr(backbone, "interpolation", "bilinear"))


def _changed(pixels: np.ndarray, change: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    return np.asarray(change(Image.fromarray(pixels)).convert("RGB"))


def _low_resolution(image: Image.Image) -> Image.Image:
    side = image.width // 8
    return image.resize((side, side), Image.Resampling.BILINEAR).resize(image.size, Image.Resampling.BILINEAR)


DEGRADATIONS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "grey": lambda image: image.convert("L"),
    "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(image.width / 45)),
    "low resolution": _low_resolution,
    "edges": lambda image: image.convert("L").filter(ImageFilter.FIND_EDGES),
}
"""The versions of the source pictures that calibrate a backbone's scale of distances."""


def _split_half(matrix: np.ndarray) -> float:
    """Return the unbiased squared MMD between the even and the odd pictures of a kernel matrix (n, n)."""
    even, odd = matrix[::2, ::2], matrix[1::2, 1::2]
    return kernel.self_similarity(even) + kernel.self_similarity(odd) - 2 * float(matrix[::2, 1::2].mean())


def save_reference(reference: DomainReference, path: Path) -> None:
    """Write a reference to one safetensors file, whole or not at all."""
    values: dict[str, Any] = {k: v for k, v in asdict(reference).items() if k != "maps"}
    text = json.dumps({"format_version": FORMAT_VERSION, **values})
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as new:
        new.write_bytes(save({"maps": reference.maps}, metadata={"reference": text}))


def load_reference(path: Path) -> DomainReference:
    """Read a reference.

    Raises:
        DomainReferenceError: the file is absent, damaged, too large, or of another format version.
    """
    try:
        content = load(read_bytes(path, _LARGEST))
        values = parse_json(_metadata(path)["reference"])
        version = is_a(values, dict).get("format_version")
        if version == FORMAT_VERSION:
            return _parsed(values, content["maps"])
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        what = one_line(f"{type(error).__name__}: {error}")[:200]
        raise DomainReferenceError(
            f"'{clean(path)}' is no reference that can be read ({what}); build it again"
        ) from error
    raise DomainReferenceError(
        f"'{clean(path)}' has format version {clean(version)[:40]}, but this version reads {FORMAT_VERSION}; build it "
        "again"
    )


def _metadata(path: Path) -> dict[str, str]:
    with safe_open(path, "numpy") as file:
        return file.metadata() or {}


def _parsed(values: Mapping[str, Any], maps: np.ndarray) -> DomainReference:
    """Return what `save_reference` wrote; raises KeyError or ValueError where it did not."""
    bandwidths, similarities = numbers(values["bandwidths"]), numbers(values["self_similarities"])
    n_stages = len(bandwidths)
    if not n_stages or len(similarities) != n_stages or min(bandwidths) <= 0:
        raise ValueError(f"{n_stages} bandwidths and {len(similarities)} similarities")
    degraded = {label: number(far) for label, far in is_a(values["degraded"], dict).items()}
    if not sum(degraded.values()) > 0:
        raise ValueError(f"degraded versions at {list(degraded.values())}, so nothing is far")
    if maps.dtype != np.float16 or maps.shape != (n_stages, 2 * kernel.N_FREQUENCIES) or not np.isfinite(maps).all():
        raise ValueError(f"maps of {maps.dtype} {maps.shape} for {n_stages} stages")
    return DomainReference(
        name=is_a(values["name"], str),
        backbone=is_a(values["backbone"], str),
        weights=is_a(values["weights"], str),
        input_size=whole_number(values["input_size"], 1),
        mean=triple(values["mean"]),
        std=triple(values["std"]),
        n_pictures=whole_number(values["n_pictures"], 1),
        bandwidths=bandwidths,
        self_similarities=similarities,
        null=number(values["null"]),
        degraded=degraded,
        maps=maps,
    )

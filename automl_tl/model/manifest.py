"""What `bundle.json` says: the parts of a model that are no tensors, as plain values that are checked when read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Any

import numpy as np

from automl_tl.backbones.overrides import Triple
from automl_tl.backbones.stages import POOLINGS
from automl_tl.backbones.validation import SIZES
from automl_tl.data.decode import Preprocessing
from automl_tl.data.value_range import EIGHT_BITS, ValueRange
from automl_tl.foreign import is_a, listed, name, number, texts, triple, whole_number

FORMAT_VERSION = 1
MOST_MEMBERS = 16
"""A search makes two. Each costs a network, of which a bundle stores once what several share."""
_OWN = frozenset(
    {"format_version", "created_with", "files", "members", "classes", "fit", "temperature", "novelty", "aliases"}
)


@dataclass(frozen=True)
class HeadSpec:
    """The arguments of a `NetworkHead`, and its kind."""

    kind: str
    d: int
    hidden: int
    channels: int


@dataclass(frozen=True)
class MemberSpec:
    """All of a `Member` but its tensors, and where its backbone came from."""

    backbone: str
    distribution: str
    """That provided the plugin, "" where none did."""
    version: str
    weights: str
    """Identity of the weights that it was built with, before any training."""
    n_stages: int
    cuts: tuple[int, ...]
    pooling: str
    head: HeadSpec
    weight: float
    preprocessing: Preprocessing
    mean: Triple
    std: Triple
    input_size: int
    licence: str = ""
    """Of the weights; "" where it is not known, and in bundles from before it was kept."""


@dataclass(frozen=True)
class Manifest:
    """The content of `bundle.json`."""

    created_with: Mapping[str, str]
    """Versions of automl_tl and torch."""
    files: Mapping[str, str]
    """sha256 by file name."""
    members: tuple[MemberSpec, ...]
    classes: tuple[str, ...]
    fit: str
    temperature: float
    novelty_threshold: float | None
    """None where the bundle keeps no training pictures' embeddings."""
    least_contrast: float
    """Of pictures that are like the training pictures, 0 to 255 levels."""
    aliases: Mapping[str, str]
    """Tensors that are stored under another name, because they are the same bits."""
    details: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; `details` lie beside the manifest's own keys.

        Raises:
            ValueError: A key of `details` is one of the manifest's own.
        """
        if taken := sorted(_OWN & set(self.details)):
            raise ValueError(f"details may not hold {taken}: the bundle writes them itself")
        novelty = (
            None
            if self.novelty_threshold is None
            else {"threshold": self.novelty_threshold, "least_contrast": self.least_contrast}
        )
        own = {
            "format_version": FORMAT_VERSION,
            "created_with": dict(self.created_with),
            "classes": self.classes,
            "fit": self.fit,
            "temperature": self.temperature,
            "members": [asdict(member) for member in self.members],
            "novelty": novelty,
            "aliases": dict(self.aliases),
            "files": dict(self.files),
        }
        values: dict[str, Any] = jsonable({**own, **self.details})
        return values


def jsonable(value: Any) -> Any:
    """Return a value as JSON has it: tuples and arrays as lists, numpy's numbers as numbers, NaN and infinity as None.

    Raises:
        ValueError: It holds what has no such form.
    """
    if isinstance(value, Mapping):
        return {str(key): jsonable(one) for key, one in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist() if value.dtype.kind in "biu" else jsonable(value.tolist())
    if isinstance(value, list | tuple):
        return [jsonable(one) for one in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, PurePath):
        return str(value)
    raise ValueError(f"a bundle keeps JSON values only, but got {type(value).__name__}")


def parse(values: Any) -> Manifest:
    """Return the manifest of what `json.loads` read.

    Raises:
        ValueError, KeyError, TypeError, OptionError: It is not what `to_json` writes.
    """
    novelty = values["novelty"]
    return Manifest(
        created_with=texts(values["created_with"]),
        files=texts(values["files"]),
        members=_members(values["members"]),
        classes=tuple(is_a(one, str) for one in listed(values["classes"])),
        fit=is_a(values["fit"], str),
        temperature=number(values["temperature"]),
        novelty_threshold=None if novelty is None else number(novelty["threshold"]),
        least_contrast=0.0 if novelty is None else number(novelty.get("least_contrast", 0.0)),
        aliases=texts(values["aliases"]),
        details={key: value for key, value in values.items() if key not in _OWN},
    )


def _members(values: Any) -> tuple[MemberSpec, ...]:
    if len(listed(values)) > MOST_MEMBERS:
        raise ValueError(f"{len(values):,} members, where {MOST_MEMBERS} are the most")
    return tuple(_member(one) for one in values)


def _member(values: Any) -> MemberSpec:
    cuts = tuple(whole_number(cut, 1) for cut in listed(values["cuts"]))
    n_stages = whole_number(values["n_stages"], 1)
    pooling = is_a(values["pooling"], str)
    if not cuts or max(cuts) > n_stages or pooling not in POOLINGS:
        raise ValueError(f"cuts {cuts} of {n_stages} stages, pooled by {pooling!r}")
    return MemberSpec(
        backbone=name(values["backbone"]),
        distribution=name(values["distribution"]),
        version=name(values["version"]),
        weights=is_a(values["weights"], str),
        n_stages=n_stages,
        cuts=cuts,
        pooling=pooling,
        head=_head(values["head"]),
        weight=number(values["weight"]),
        preprocessing=_preprocessing(values["preprocessing"]),
        mean=triple(values["mean"]),
        std=triple(values["std"]),
        input_size=_size(values["input_size"]),
        licence=is_a(values.get("licence", ""), str),
    )


_WIDEST = 2**20
"""Columns of a layer: the product of two is still a size that torch can name."""


def _head(values: Any) -> HeadSpec:
    least = {"d": 1, "hidden": 0, "channels": 0}
    sizes = (whole_number(values[name], low, _WIDEST) for name, low in least.items())
    return HeadSpec(is_a(values["kind"], str), *sizes)


def _preprocessing(values: Any) -> Preprocessing:
    red, green, blue = (whole_number(value, 0, 255) for value in listed(values["fill"]))
    size, crop_pct = _size(values["size"]), number(values["crop_pct"])
    if size > crop_pct * SIZES[1]:
        raise ValueError(f"pictures of {size} pixels a side, cut out of 1 / {crop_pct} of that")
    return Preprocessing(
        size=size,
        fit=is_a(values["fit"], str),
        interpolation=is_a(values["interpolation"], str),
        crop_pct=crop_pct,
        fill=(red, green, blue),
        value_range=_value_range(values["value_range"]) if "value_range" in values else EIGHT_BITS,
    )


def _size(value: Any) -> int:
    return whole_number(value, 1, SIZES[1])


def _value_range(values: Any) -> ValueRange:
    low, high = number(values["low"]), number(values["high"])
    if low >= high:
        raise ValueError(f"values from {low} to {high}")
    return ValueRange(low, high)

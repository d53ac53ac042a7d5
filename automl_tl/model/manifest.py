"""What `bundle.json` says: the parts of a model that are no tensors, as plain values that are checked when read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Any, TypeVar

import numpy as np

from automl_tl.backbones.overrides import Triple
from automl_tl.backbones.stages import POOLINGS
from automl_tl.data.decode import Preprocessing
from automl_tl.data.value_range import EIGHT_BITS, ValueRange

FORMAT_VERSION = 1
_OWN = frozenset(
    {"format_version", "created_with", "files", "members", "classes", "fit", "temperature", "novelty", "aliases"}
)
T = TypeVar("T")


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
        return jsonable(value.tolist())
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
        created_with=_texts(values["created_with"]),
        files=_texts(values["files"]),
        members=tuple(_member(one) for one in _list(values["members"])),
        classes=tuple(_is(one, str) for one in _list(values["classes"])),
        fit=_is(values["fit"], str),
        temperature=_number(values["temperature"]),
        novelty_threshold=None if novelty is None else _number(novelty["threshold"]),
        least_contrast=0.0 if novelty is None else _number(novelty.get("least_contrast", 0.0)),
        aliases=_texts(values["aliases"]),
        details={key: value for key, value in values.items() if key not in _OWN},
    )


def _member(values: Any) -> MemberSpec:
    cuts = tuple(_whole(cut, 1) for cut in _list(values["cuts"]))
    n_stages = _whole(values["n_stages"], 1)
    pooling = _is(values["pooling"], str)
    if not cuts or max(cuts) > n_stages or pooling not in POOLINGS:
        raise ValueError(f"cuts {cuts} of {n_stages} stages, pooled by {pooling!r}")
    return MemberSpec(
        backbone=_is(values["backbone"], str),
        distribution=_is(values["distribution"], str),
        version=_is(values["version"], str),
        weights=_is(values["weights"], str),
        n_stages=n_stages,
        cuts=cuts,
        pooling=pooling,
        head=_head(values["head"]),
        weight=_number(values["weight"]),
        preprocessing=_preprocessing(values["preprocessing"]),
        mean=_triple(values["mean"]),
        std=_triple(values["std"]),
        input_size=_whole(values["input_size"], 1),
        licence=_is(values.get("licence", ""), str),
    )


def _head(values: Any) -> HeadSpec:
    sizes = (_whole(values["d"], 1), _whole(values["hidden"], 0), _whole(values["channels"], 0))
    return HeadSpec(_is(values["kind"], str), *sizes)


def _preprocessing(values: Any) -> Preprocessing:
    red, green, blue = (_whole(value, 0) for value in _list(values["fill"]))
    return Preprocessing(
        size=_whole(values["size"], 1),
        fit=_is(values["fit"], str),
        interpolation=_is(values["interpolation"], str),
        crop_pct=_number(values["crop_pct"]),
        fill=(red, green, blue),
        value_range=_value_range(values["value_range"]) if "value_range" in values else EIGHT_BITS,
    )


def _value_range(values: Any) -> ValueRange:
    low, high = _number(values["low"]), _number(values["high"])
    if low >= high:
        raise ValueError(f"values from {low} to {high}")
    return ValueRange(low, high)


def _triple(values: Any) -> Triple:
    red, green, blue = (_number(value) for value in _list(values))
    return red, green, blue


def _texts(values: Any) -> dict[str, str]:
    return {key: _is(value, str) for key, value in _is(values, dict).items()}


def _list(values: Any) -> Sequence[Any]:
    return _is(values, list)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    return float(value)


def _whole(value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{value!r} is no whole number of at least {least}")
    return value


def _is(value: Any, kind: type[T]) -> T:
    if not isinstance(value, kind):
        raise ValueError(f"{kind.__name__} expected, but got {type(value).__name__}")
    return value

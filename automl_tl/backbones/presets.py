"""Presets: small named lists of published backbones, chosen by speed. Imports neither torch nor pandas.

`datasets_meta/presets.csv` holds them; `benchmarks/presets.py` says how they were chosen. Their names are reserved: a
plugin cannot be called so (see `automl_tl.backbones.validation.name_fault`), so a preset always means the same.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from automl_tl.resources import meta_path

NAMES = ("fast", "balanced", "best")
EVERYTHING = "all"
"""In place of a backbone's name: every one whose weights are on this machine."""


@dataclass(frozen=True)
class PresetBackbone:
    """One backbone of a preset, with what is published about it."""

    preset: str
    device: str
    """"cpu" or "cuda"."""
    backbone: str
    kind: str
    """"supervised", or "self-supervised": trained without labels."""
    top1: float
    """ImageNet, per cent; of a self-supervised one that of a linear classifier on its frozen features."""
    pictures_per_s: float
    """On a laptop's i7-12700H, one picture at a time, or on an RTX 4090 in mixed precision."""
    params_millions: float
    download_mb: float
    """Of the weights file, about, in millions of bytes."""
    licence: str
    source: str
    """The hub's repository."""


def device_kind(device: str) -> str:
    """Return whose lists count on a device: "cuda" for "cuda:1", "cpu" for anything else, an Apple GPU too."""
    return "cuda" if device.split(":")[0] == "cuda" else "cpu"


def members(preset: str, device: str) -> tuple[PresetBackbone, ...]:
    """Return the backbones of a preset on "cpu", "cuda:0" or any other device; none for an unknown preset."""
    return tuple(one for one in all_members() if (one.preset, one.device) == (preset, device_kind(device)))


def expand(names: Iterable[str], device: str) -> tuple[str, ...]:
    """Return `names` with each preset replaced by its backbones on `device`; each name once, in order."""
    expanded: dict[str, None] = {}
    for name in names:
        found = [one.backbone for one in members(name, device)] if name in NAMES else [name]
        expanded.update(dict.fromkeys(found))
    return tuple(expanded)


@lru_cache(maxsize=1)
def all_members() -> tuple[PresetBackbone, ...]:
    """Return every backbone of every preset, as the file lists them."""
    with meta_path("presets.csv").open(encoding="utf-8", newline="") as stream:
        return tuple(_preset_backbone(row) for row in csv.DictReader(stream))


def _preset_backbone(row: dict[str, str]) -> PresetBackbone:
    return PresetBackbone(
        row["name"],
        row["device"],
        row["backbone"],
        row["kind"],
        float(row["top1"]),
        float(row["pictures_per_s"]),
        float(row["params_millions"]),
        float(row["download_mb"]),
        row["licence"],
        row["source"],
    )

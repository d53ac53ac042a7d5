"""What torchvision publishes, known without importing it: one row for every set of weights.

`catalogue.csv` beside this file is written by automl-tl's `benchmarks/torchvision_table.py`. Names that are not
in it, of a newer torchvision, are asked from torchvision itself.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("catalogue.csv")
LICENCES = {"https://github.com/facebookresearch/SWAG/blob/main/LICENSE": "cc-by-nc-4.0"}
"""The addresses that torchvision states, and what stands there."""
SCALED = ("googlenet", "inception_v3")
"""They scale their input once more from ImageNet's mean and std to 0.5 and 0.5, unless that is done at once."""
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Entry:
    """One architecture with one set of weights."""

    arch: str
    tag: str
    """The weights' name in torchvision's enum: "IMAGENET1K_V1"."""
    input_size: int
    """S, pixels."""
    mean: Triple
    std: Triple
    interpolation: str
    params_millions: float
    n_bytes: int
    """Size of the published file, bytes, within a thousandth."""
    licence: str
    """Of the weights, where torchvision states one."""
    pretrained_on: str
    n_labels: int
    """Outputs of its own classifier; 0 where it has no trained one."""
    url: str

    @property
    def name(self) -> str:
        """The full name: "resnet50.IMAGENET1K_V2"."""
        return f"{self.arch}.{self.tag}"

    @property
    def file_name(self) -> str:
        """Of the published file; it holds the beginning of the file's hash."""
        return self.url.rpartition("/")[2]


COLUMNS = tuple(field.name for field in fields(Entry))


@lru_cache(maxsize=1)
def entries() -> dict[str, Entry]:
    """Return the packaged rows by full name; the first of an architecture is its default."""
    with FILE.open(encoding="utf-8", newline="") as stream:
        rows = [_from_row(row) for row in csv.DictReader(stream)]
    return {entry.name: entry for entry in rows}


@lru_cache(maxsize=1)
def defaults() -> dict[str, Entry]:
    """Return the default weights of every architecture, by architecture."""
    found: dict[str, Entry] = {}
    for entry in entries().values():
        found.setdefault(entry.arch, entry)
    return found


def find(name: str) -> Entry:
    """Return the entry of "resnet50" or "resnet50.IMAGENET1K_V1".

    Raises:
        ValueError: torchvision has no such classifier, or no such weights for it.
    """
    return entries().get(name) or defaults().get(name) or from_torchvision(name)


def from_torchvision(name: str) -> Entry:
    """Ask torchvision itself; this imports torch.

    Raises:
        ValueError: See `find`.
    """
    import torchvision
    from torchvision import models

    arch, _, tag = name.partition(".")
    if arch not in models.list_models(module=models):
        raise ValueError(f"torchvision {torchvision.__version__} has no classifier {arch!r}")
    weights = models.get_model_weights(arch)
    tags = [one.name for one in weights]
    if tag and tag not in tags:
        raise ValueError(f"torchvision {torchvision.__version__} has no weights {tag!r} for {arch}, only {tags}")
    return from_weights(arch, weights[tag or "DEFAULT"])


def from_weights(arch: str, weights: Any) -> Entry:
    """Return the entry of one member of torchvision's enums of weights."""
    how, meta = weights.transforms(), weights.meta
    half = (0.5, 0.5, 0.5)
    return Entry(
        arch,
        weights.name,
        how.crop_size[0],
        half if arch in SCALED else tuple(how.mean),
        half if arch in SCALED else tuple(how.std),
        how.interpolation.value,
        round(meta["num_params"] / 1e6, 2),
        round(meta["_file_size"] * 2**20),
        LICENCES.get(meta.get("license"), meta.get("license") or ""),
        # A linear classifier on a frozen network says nothing about what the network was trained on.
        "instagram-3.6b" if "SWAG_LINEAR" in weights.name else "imagenet-1k",
        len(meta["categories"] or ()),
        weights.url,
    )


def to_row(entry: Entry) -> list[str]:
    """Return an entry as the texts of `COLUMNS`."""
    row = {column: getattr(entry, column) for column in COLUMNS}
    row["mean"], row["std"] = (" ".join(map(str, row[key])) for key in ("mean", "std"))
    return [str(value) for value in row.values()]


def _from_row(row: dict[str, str]) -> Entry:
    return Entry(
        row["arch"],
        row["tag"],
        int(row["input_size"]),
        _triple(row["mean"]),
        _triple(row["std"]),
        row["interpolation"],
        float(row["params_millions"]),
        int(row["n_bytes"]),
        row["licence"],
        row["pretrained_on"],
        int(row["n_labels"]),
        row["url"],
    )


def _triple(text: str) -> Triple:
    first, second, third = (float(part) for part in text.split())
    return first, second, third

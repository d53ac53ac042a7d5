"""What timm publishes, known without importing timm: one row for every set of weights.

`catalogue.csv` beside this file is written by automl-tl's `benchmarks/backbones_table.py`. Names that are not
in it, of a newer timm, are asked from timm itself.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from automl_tl_timm.pretraining import pretrained_on

FILE = Path(__file__).with_name("catalogue.csv")
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Entry:
    """One architecture with one set of weights."""

    arch: str
    tag: str
    """Of the weights; empty where timm publishes none."""
    input_size: int
    """S, pixels."""
    mean: Triple
    std: Triple
    interpolation: str
    crop_pct: float
    params_millions: float | None
    licence: str
    pretrained_on: str
    n_labels: int
    """Outputs of its own classifier; 0 where it has none."""
    source: str
    """The hub's repository, or a URL; empty where timm publishes no weights."""

    @property
    def name(self) -> str:
        """timm's own full name: "resnet50.a1_in1k"."""
        return f"{self.arch}.{self.tag}" if self.tag else self.arch


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
    """Return the entry of "resnet50" or "resnet50.a1_in1k".

    Raises:
        ValueError: timm has no such architecture, or no such weights for it.
    """
    return entries().get(name) or defaults().get(name) or from_timm(name)


def from_timm(name: str) -> Entry:
    """Ask timm itself; this imports torch.

    Raises:
        ValueError: See `find`; also for networks whose pictures are not square RGB.
    """
    import timm

    arch, _, tag = name.partition(".")
    if not timm.is_model(arch):
        raise ValueError(f"timm {timm.__version__} has no architecture {arch!r}")
    tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{arch}.*")]
    if tag and tag not in tags:
        raise ValueError(f"timm {timm.__version__} has no weights {tag!r} for {arch}, only {', '.join(tags) or 'none'}")
    return from_config(arch, timm.get_pretrained_cfg(name))


def from_config(arch: str, config: Any, params_millions: float | None = None) -> Entry:
    """Return the entry of one of timm's `PretrainedCfg`; None for an architecture without any.

    Raises:
        ValueError: Its pictures are not square RGB.
    """
    if config is None:
        imagenet = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        return Entry(arch, "", 224, *imagenet, "bicubic", 1.0, params_millions, "", "none", 0, "")
    channels, height, width = config.input_size
    if channels != 3 or height != width:
        raise ValueError(f"{arch} takes pictures of {channels} x {height} x {width}; only square RGB is supported")
    source = config.hf_hub_id or config.url or ""
    tag = (config.tag or "") if source else ""
    if source == "timm/":
        source = f"timm/{arch}.{tag}"
    n_labels = (config.num_classes or 0) if source else 0
    return Entry(
        arch,
        tag,
        height,
        tuple(config.mean),
        tuple(config.std),
        config.interpolation if config.interpolation in ("bilinear", "nearest") else "bicubic",
        config.crop_pct,
        params_millions,
        config.license or "",
        pretrained_on(tag, n_labels) if source else "none",
        n_labels,
        source,
    )


def to_row(entry: Entry) -> list[str]:
    """Return an entry as the texts of `COLUMNS`."""
    row = {column: getattr(entry, column) for column in COLUMNS}
    row["mean"], row["std"] = (" ".join(f"{value:.8g}" for value in row[key]) for key in ("mean", "std"))
    row["source"] = "" if entry.source == f"timm/{entry.name}" else entry.source
    return ["" if value is None else str(value) for value in row.values()]


def _from_row(row: dict[str, str]) -> Entry:
    params = row["params_millions"]
    return Entry(
        row["arch"],
        row["tag"],
        int(row["input_size"]),
        _triple(row["mean"]),
        _triple(row["std"]),
        row["interpolation"],
        float(row["crop_pct"]),
        float(params) if params else None,
        row["licence"],
        row["pretrained_on"],
        int(row["n_labels"]),
        row["source"] or f"timm/{row['arch']}.{row['tag']}",
    )


def _triple(text: str) -> Triple:
    first, second, third = (float(part) for part in text.split())
    return first, second, third

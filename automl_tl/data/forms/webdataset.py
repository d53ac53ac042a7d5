"""Tars of samples, as WebDataset has them: KEY.jpg beside KEY.cls, or beside KEY.json that names the label."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from automl_tl.data.forms.archive import entries
from automl_tl.data.forms.entries import Entry
from automl_tl.data.forms.shards import parts_of
from automl_tl.data.listing import Listing, Row
from automl_tl.data.names import printable
from automl_tl.data.table import Columns
from automl_tl.data.walk import is_picture_name
from automl_tl.errors import DataError

_LABEL_BYTES = 1 << 20
"""Of the largest file in which a label is looked for."""

Sample = Mapping[str, Entry]
"""The files of one key, by what follows its first dot, in lower case."""


def samples_of(files: Iterable[Entry]) -> dict[str, dict[str, Entry]]:
    """Return the samples by their keys: a file's path up to the first dot of its name."""
    samples: dict[str, dict[str, Entry]] = {}
    for entry in files:
        stem, dot, ending = entry.path.name.partition(".")
        if entry.kind == "file" and stem and dot:
            samples.setdefault(str(entry.path.with_name(stem)), {})[ending.lower()] = entry
    return samples


def are_samples(samples: Mapping[str, Sample], columns: Columns) -> bool:
    """Return whether pictures have their labels beside them; in class folders what lies there may be anything."""
    noted = ((key, one) for key, one in samples.items() if ("cls" in one or "json" in one) and _picture(one))
    return any("/" not in key or _label(one, columns) for key, one in noted)


def list_webdataset(shards: Sequence[Path], columns: Columns, listing: Listing) -> Listing:
    """Return `listing` with the pictures of every shard; the part of a split is in its name (see `shards.parts_of`).

    The label is what KEY.cls says, else a member of the object in KEY.json, and so is the group, by the names of
    `columns`.

    Raises:
        DataError: A shard cannot be read, or is not as an archive of pictures is.
    """
    for shard, part in parts_of(shards, listing):
        for key, sample in samples_of(entries(shard)).items():
            _list_sample(f"{shard}/{key}", sample, part, columns, listing)
    listing.form = "a WebDataset tar" if len(shards) == 1 else f"{len(shards)} WebDataset tars"
    if not listing.rows and listing.skipped:
        first = listing.skipped[0]
        raise DataError(f"No picture of these tars can be used, '{printable(first.path)}' for example: {first.reason}.")
    return listing


def _list_sample(name: str, sample: Sample, part: str, columns: Columns, listing: Listing) -> None:
    picture, label = _picture(sample), _label(sample, columns)
    if picture is None:
        listing.skip(name, "no picture of this key")
    elif not label:
        listing.skip(picture.source.name, f"no label: neither a .cls nor a .json with {columns.label!r}")
    else:
        listing.sources[picture.source.name] = picture.source
        group = _said(sample, columns.group or "group")
        listing.rows.append(Row(picture.source.name, unicodedata.normalize("NFC", label), part, group))


def _picture(sample: Sample) -> Entry | None:
    """Return the picture of a sample: KEY.png before KEY.mask.png, whichever comes first in the tar."""
    endings = sorted((ending for ending in sample if is_picture_name(f"x.{ending}")), key=lambda one: "." in one)
    return sample[endings[0]] if endings else None


def _label(sample: Sample, columns: Columns) -> str:
    if "cls" in sample:
        return _content(sample["cls"]).decode(errors="replace").strip()
    return _said(sample, columns.label)


def _said(sample: Sample, name: str) -> str:
    """Return what the object in a sample's JSON file says of `name`; where there is none, or no text, nothing."""
    try:
        said = json.loads(_content(sample["json"])) if "json" in sample else {}
    except (ValueError, RecursionError):
        return ""
    value = said.get(name) if isinstance(said, dict) else None
    return str(value).strip() if isinstance(value, str | int | float) else ""


def _content(entry: Entry) -> bytes:
    if entry.size > _LABEL_BYTES:
        return b""
    with entry.source.open() as file:
        return file.read()

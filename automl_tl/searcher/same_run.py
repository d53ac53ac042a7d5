"""Whether a run is resumed as it was begun, and what is different, in the user's words."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from automl_tl.data.ahead import ahead
from automl_tl.data.source import Source, sources_of
from automl_tl.errors import PictureError
from automl_tl.monitor import Progress, unheeded

PICTURES = "pictures.json"
"""File of the run: what `identities` returns."""
_HASHED_AHEAD = 64
_OPTIONS = {
    "backbones": "--backbone",
    "strategies": "--strategy",
    "metric": "--metric",
    "max_latency_ms": "--max-latency-ms",
    "max_params": "--max-params",
    "seed": "--seed",
    "without": "omitted part",
}


_INPUTS = ("--weights", "--mean", "--std", "--input-size")


_DIGITS = 8
"""Of a digest of what is said of a picture."""


def identities(frame: pd.DataFrame) -> dict[str, str]:
    """Return what is said of each picture by the digest of its bytes: digests of (label, split, group), (label, split).

    Runs of earlier versions have kept the first of the two alone.
    """
    said = zip(frame["label"], frame["split"], frame["group"], strict=True)
    return {sha[:16]: _digest(*one) + _digest(*one[:2]) for sha, one in zip(frame["sha256"], said, strict=True)}


def _digest(*said: str) -> str:
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:_DIGITS]


def n_learned(kept: Mapping[str, str], parts: Sequence[str], frame: pd.DataFrame, progress: Progress = unheeded) -> int:
    """Return how many pictures of a data set a run has learned from, whether or not they have groups now.

    Args:
        kept: what `identities` returned of the run.
        parts: of its split that it has learned from.
        frame: of a data set that was listed; what cannot be read counts as not learned.
        progress: called with (done, total) pictures.
    """
    hashes = ahead(_hash_of, sources_of(frame), most=_HASHED_AHEAD)
    found = 0
    for done, (sha, label, group) in enumerate(zip(hashes, frame["label"], frame["group"], strict=True), start=1):
        said = str(kept.get(sha[:16], ""))
        own = {_digest(label, part) if said[_DIGITS:] else _digest(label, part, group) for part in parts}
        found += (said[_DIGITS:] or said) in own
        progress(done, len(frame))
    return found


def _hash_of(source: Source) -> str:
    """Return the hash of a picture's bytes; "" where they cannot be read."""
    try:
        with source.open() as file:
            return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # it has readinto
    except (OSError, PictureError):
        return ""


def is_of_train(asked: Mapping[str, Any] | None) -> bool:
    """Return whether a run was one of `train`, by what it was asked."""
    return asked is not None and asked.get("command") == "train"


def run_change(before: Mapping[str, Any], now: Mapping[str, Any], pictures: Callable[[], str]) -> str | None:
    """Return how a run was asked otherwise, None where it was asked the same.

    Args:
        before: what it was asked; what an earlier version did not write down was not asked for.
        now: what it is asked.
        pictures: says what has happened to them.
    """
    for name, value in now.items():
        if (before.get(name) or None) != (json.loads(json.dumps(value)) or None):
            return pictures() if name == "fingerprint" else option_change(name, before.get(name), value)
    return None


def picture_changes(before: Mapping[str, str] | None, now: Mapping[str, str]) -> str:
    """Return what has happened to the pictures since `before`, which an older run may lack."""
    if before is None:
        return "the pictures have changed"
    gone, new = len(before.keys() - now.keys()), len(now.keys() - before.keys())
    both = before.keys() & now.keys()
    moved = sum(str(before[one])[:_DIGITS] != now[one][:_DIGITS] for one in both)
    others = f", {moved:,} with another label, split or group" if moved else ""
    return f"the pictures have changed: {gone:,} gone, {new:,} new{others}"


def option_change(name: str, before: Any, now: Any) -> str:
    """Return how an option differs, as one types it: "begun with --seed 3, not with --seed 0"."""
    if name == "inputs":
        old_ones = before if isinstance(before, list) and len(before) == len(_INPUTS) else [None] * len(_INPUTS)
        other = [flag for flag, old, new in zip(_INPUTS, old_ones, now, strict=True) if old != new]
        return f"it was begun with another {' and '.join(other)}"
    return f"it was begun {_words(name, before)}, not {_words(name, now)}"


def _words(name: str, value: Any) -> str:
    option = _OPTIONS.get(name, name)
    values = value if isinstance(value, list) else [] if value is None else [value]
    return f"with {' '.join(f'{option} {one}' for one in values)}" if values else f"without {option}"

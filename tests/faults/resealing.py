"""Checksums made to fit what is there, as somebody would who means harm."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path


def reseal(bundle: Path) -> None:
    """Make all checksums fit what is there."""
    try:
        values = json.loads((bundle / "bundle.json").read_bytes())
        values["files"]["model.safetensors"] = sha(bundle / "model.safetensors")
        (bundle / "bundle.json").write_text(json.dumps(values))
    except (KeyError, RecursionError, TypeError, ValueError):
        pass
    lines = [f"{sha(bundle / name)}  {name}\n" for name in ("bundle.json", "model.safetensors")]
    (bundle / "SHA256SUMS").write_text("".join(lines))


def sha(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()

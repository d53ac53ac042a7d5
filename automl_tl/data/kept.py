"""Arrays in one file, which is written as a whole or not at all, and read again only by the same version."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from automl_tl.output import whole


def load_arrays(file: Path, version: str) -> dict[str, np.ndarray] | None:
    """Return the arrays by name; None of a missing or damaged file, or one of another version.

    Raises OSError where the file is there but cannot be opened just now: too many open files, no permission.
    """
    try:
        opened = file.open("rb")
    except FileNotFoundError:
        return None
    with opened:
        try:
            with np.load(opened, allow_pickle=False) as content:
                return None if _is_compressed(content) or str(content["version"]) != version else dict(content)
        except Exception:  # whatever is wrong with the content, what it was made from is still there
            return None


def _is_compressed(content: Any) -> bool:
    """Return whether any array takes more memory than it has bytes in the file; `save_arrays` writes none."""
    return any(member.compress_type != zipfile.ZIP_STORED for member in content.zip.infolist())


def save_arrays(file: Path, version: str, **arrays: np.ndarray) -> None:
    """Write the arrays; raises OSError where that is impossible."""
    with whole(file) as new, new.open("wb") as content:
        np.savez(content, version=np.array(version), **arrays)  # type: ignore[arg-type]  # its stubs take no names

"""Tensors on disk, as safetensors: no code runs when they are read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def write_tensors(file: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, str] | None = None) -> None:
    """Write tensors and facts, in the mode that files get here: safetensors itself makes a file its owner's alone.

    Args:
        file: to write, not there yet.
        tensors: contiguous, on the CPU.
        facts: metadata of the file.

    Raises:
        OSError: it cannot be written.
        SafetensorError: the same, where safetensors has wrapped what the system said.
    """
    from safetensors.torch import save_file

    file.touch()
    mode = file.stat().st_mode
    save_file(dict(tensors), file, None if facts is None else dict(facts))
    file.chmod(mode)

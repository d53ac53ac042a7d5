"""Read a local weights file into a network."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

COUNTER = "num_batches_tracked"
"""A counter of BatchNorm that evaluation does not read and old files lack."""


def fill(net: nn.Module, file: Path, name: str) -> None:
    """Load `file` into `net` in float32; tensors that the network has not, such as a classifier, are left out.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It cannot be read as weights only, or lacks something that the network needs.
    """
    state, own = _read(file), net.state_dict()
    needed = [key for key in own if not key.endswith(COUNTER)]
    wrong = [key for key in needed if key not in state or state[key].shape != own[key].shape]
    if wrong:
        key = wrong[0]
        found = f"{tuple(state[key].shape)} found" if key in state else "missing"
        raise ValueError(
            f"{file} does not hold {name}: {len(wrong)} of its {len(needed)} tensors are missing or of another shape "
            f"({key}: {tuple(own[key].shape)} expected, {found}); the file has {len(state)}"
        )
    net.load_state_dict({key: state[key] for key in needed}, strict=False)


def _read(file: Path) -> dict[str, Tensor]:
    if not file.is_file():
        raise FileNotFoundError(f"there is no weights file {file}")
    try:
        safe = file.suffix == ".safetensors"
        found = load_file(file) if safe else torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        told = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"{file} cannot be read as weights only: {told}") from error
    return {key: value for key, value in dict(found).items() if isinstance(value, Tensor)}

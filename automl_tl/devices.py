"""A device's free memory and random numbers, and copies between it and the host: few, and no GPU waits for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

Key = TypeVar("Key")


def free_memory(device: torch.device | str) -> int:
    """Return the bytes that can still be had on a CUDA device, those that torch holds for later among them."""
    import torch

    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


@contextmanager
def own_numbers(seed: int | None = None) -> Iterator[None]:
    """Have the random numbers that torch draws within cost nobody outside any: of the CPU and of every GPU.

    seed: of the numbers within; default: they are what would have come next.
    """
    import torch

    is_used = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    cuda = list(range(torch.cuda.device_count())) if is_used else []
    apple = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    with torch.random.fork_rng(devices=cuda):
        if seed is not None:
            torch.manual_seed(seed)
        try:
            yield
        finally:
            if apple is not None:
                torch.mps.set_rng_state(apple)


def to_device(values: Tensor, device: torch.device | str) -> Tensor:
    """Return values of the host on a device; a GPU gets them from pinned memory, while it still computes.

    From memory that is not pinned torch copies only when the GPU has done all that it was asked for.
    """
    if str(device).startswith("cuda") and values.device.type == "cpu":
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)


def to_host(columns: Mapping[Key, Tensor]) -> dict[Key, np.ndarray]:
    """Return matrices (N, d), float32 and all of N rows, as arrays of the host, by one copy for all of them."""
    import torch

    joined = torch.cat([part.detach().float() for part in columns.values()], dim=1).cpu()
    parts = torch.split(joined, [part.shape[1] for part in columns.values()], dim=1)
    return {name: part.numpy() for name, part in zip(columns, parts, strict=True)}

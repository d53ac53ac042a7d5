"""Work done at once by several processes of one group of torch.distributed, as Ray Train would have it done."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def together(work: Callable[..., T], *args: object, store: Path, size: int = 2) -> list[T]:
    """Return what each process's `work(*args)` returns, by rank; `store` is a file that is not there yet."""
    with ProcessPoolExecutor(size, get_context("spawn")) as pool:
        found = [pool.submit(in_group, rank, size, store, work, args) for rank in range(size)]
        return [one.result(timeout=120) for one in found]


def in_group(rank: int, size: int, store: Path, work: Callable[..., T], args: tuple[object, ...]) -> T:
    """Do the work in this process, the `rank`-th of `size`."""
    from datetime import timedelta

    import torch
    from torch import distributed

    torch.set_num_threads(1)
    patience = timedelta(seconds=600)
    distributed.init_process_group("gloo", init_method=f"file://{store}", timeout=patience, rank=rank, world_size=size)
    try:
        return work(*args)
    finally:
        distributed.destroy_process_group()

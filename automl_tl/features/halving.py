"""Where memory does not suffice for a batch, its halves are tried, then their halves: on a CPU as on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from automl_tl.errors import ShortageError
from automl_tl.memory import is_shortage

T = TypeVar("T")


def halving(work: Callable[[int], T], n: int, parts: int = 1) -> tuple[T, int]:
    """Return what `work` gives in as few parts as memory allows, and how many those are.

    Args:
        work: given a number of parts, does everything from the beginning.
        n: pictures; there are no more parts than pictures.
        parts: to begin with.

    Raises:
        ShortageError: one picture at a time does not fit.
    """
    while (result := _tried(work, parts, last=parts >= n)) is None:  # the failed try's tensors are free by now
        parts *= 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return result[0], parts


def _tried(work: Callable[[int], T], parts: int, *, last: bool) -> tuple[T] | None:
    """Return what `work` gives, or None where memory does not suffice and smaller parts are left."""
    try:
        return (work(parts),)
    except Exception as error:
        if not is_shortage(error):
            raise
        if last:
            raise ShortageError(
                "one picture at a time does not fit into memory: give a smaller --input-size, a smaller --backbone, or "
                "a machine with more"
            ) from error
    return None

"""How many threads a piece of linear algebra is worth."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

# Multiplications: an eigendecomposition of side 1,600, half a second on one thread.
SMALL = 4e9


@contextmanager
def threads_for(multiplications: float) -> Iterator[None]:
    """Run a small piece of work on one thread, anything else on as many as torch has.

    eigh and the solver meet at a barrier thousands of times, and on a busy machine each meeting waits until the other
    thread gets a core again. Measured: an eigendecomposition of side 400 took 1.7 s on two threads beside four busy
    processes on two cores, and .03 s on one; of side 1,000 on two idle cores .17 s on two threads, .24 s on one.
    """
    before = torch.get_num_threads()
    if multiplications >= SMALL or before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

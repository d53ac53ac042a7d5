"""What torch keeps for a whole thread or process, and anybody's code may have changed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kept_state() -> Iterator[None]:
    """Let whether gradients are computed, and the default type of numbers, be afterwards what they are now.

    Nothing is imported for it: without torch nobody has changed anything of it.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    gradients, dtype = torch.is_grad_enabled(), torch.get_default_dtype()
    try:
        yield
    finally:  # where nothing has changed nothing is called: whoever traces a network would find it in there
        if torch.is_grad_enabled() != gradients:
            torch.set_grad_enabled(gradients)
        if torch.get_default_dtype() != dtype:
            torch.set_default_dtype(dtype)


@contextmanager
def usual_state() -> Iterator[None]:
    """Let gradients be computed and numbers be float32 within, whatever whoever called has set; it is so again after.

    A program may be in `torch.no_grad()` or `torch.inference_mode()`, a notebook may have turned gradients off.
    """
    import torch

    with kept_state(), torch.inference_mode(False), torch.enable_grad():
        torch.set_default_dtype(torch.float32)
        yield

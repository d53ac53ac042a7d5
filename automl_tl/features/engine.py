"""How a forward pass is run on a device: by what, and in which number format."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Literal

import torch

from automl_tl.errors import OptionError
from automl_tl.memory import tune_malloc
from automl_tl.options.texts import parse_device

_MATRIX_UNITS = ("amx_bf16", "amx_tile")
"""Names of torch's for instructions that multiply matrices in bfloat16."""

RuntimeName = Literal["eager", "folded", "openvino"]


@dataclass(frozen=True)
class Engine:
    """A device with the number format that is fast there, and what runs frozen networks on it."""

    device: str
    """"cpu", "cuda", "cuda:1", "mps"."""
    dtype: str
    """Name of the torch dtype of the network's inner arithmetic; statistics are float32 always."""
    batch_size: int | None = None
    """Pictures that go through a network at once; None for what suits the device."""
    workers: int | None = None
    """Threads that decode pictures; None for one a core."""
    runtime: RuntimeName = "eager"
    """Of `features/runtimes/`; whatever else than features of frozen networks is computed, torch computes."""
    learning: str | None = None
    """Number format of stages that learn, where it is another one than `dtype`."""

    @property
    def name(self) -> str:
        """Part of every cache key: features of two engines differ in the third digit."""
        by = "" if self.runtime == "eager" else f"-{self.runtime}"
        learning = "" if self.learning is None else f"-learning-{self.learning}"
        return f"{self.kind}-{self.dtype}{by}{learning}"

    @property
    def kind(self) -> str:
        """ "cpu", "cuda" or "mps", whichever of several it is."""
        return self.device.partition(":")[0]

    @property
    def for_training(self) -> Engine:
        """The same device as training uses it.

        On a CPU frozen stages and whatever is scored are float32: with all that is learned from in bfloat16 the log
        loss was 1% higher. Where there are instructions for bfloat16, stages that learn compute in it, their parameters
        stay float32 (see `learning/mixed_precision.py`). Each process finds that out of its own machine.
        """
        if self.kind != "cpu":
            return replace(self, runtime="eager")
        learning = "bfloat16" if _has("avx512_bf16", *_MATRIX_UNITS) else None
        return replace(self, dtype="float32", runtime="eager", learning=learning)

    def autocast(self) -> AbstractContextManager:
        """Return a context in which a float32 network computes in this engine's number format."""
        dtype = getattr(torch, self.dtype)
        return torch.autocast(self.kind, dtype=dtype, enabled=dtype is not torch.float32)


def choose_engine(device: str = "auto", batch_size: int | None = None, workers: int | None = None) -> Engine:
    """Return the engine for `device`, of `parse_device`; "auto" takes a GPU where there is one.

    bfloat16 on a CPU is chosen only where it has matrix units for it: there it is 1.3 to 1.8 times as fast as
    float32, with AVX-512 instructions alone it was measured as equal, elsewhere it is emulated and slow.

    Whoever asks is about to compute, so glibc's malloc is tuned here, once a process; importing changes nothing.

    Raises:
        OptionError: there is no such device, here or anywhere.
    """
    tune_malloc()
    device = parse_device(str(device))  # a number may be given as one
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "mps" and not torch.backends.mps.is_available():
        raise OptionError("--device mps: torch sees no Apple GPU here; use --device cpu or auto")
    fast = {"cuda": _half_of_cuda, "cpu": _half_of_cpu}.get(device.partition(":")[0], _no_half)
    return Engine(device, fast(device), batch_size, workers)


def _half_of_cuda(device: str) -> str:
    """Return the short format in which a CUDA device is fast; raises OptionError where there is no such device."""
    if not torch.cuda.is_available():
        raise OptionError(f"--device {device}: torch sees no CUDA device here; use --device cpu or auto")
    index, n = torch.device(device).index or 0, torch.cuda.device_count()
    if index >= n:
        raise OptionError(f"--device {device}: there are {n} CUDA devices, counted from 0")
    with torch.cuda.device(index):
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"


def _half_of_cpu(device: str) -> str:
    return "bfloat16" if _has(*_MATRIX_UNITS) else "float32"


def _no_half(device: str) -> str:
    return "float32"


def _has(*capabilities: str) -> bool:
    """Return whether this CPU has one of torch's `capabilities`, all of which torch 2.10 learned to name."""
    known: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(known.get(name) for name in capabilities)

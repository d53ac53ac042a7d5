"""How a forward pass is run on a device: number format and memory layout."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch

from automl_tl.errors import OptionError
from automl_tl.memory import tune_malloc


@dataclass(frozen=True)
class Engine:
    """A device with the number format that is fast there."""

    device: str
    """"cpu", "cuda", "cuda:1", "mps"."""
    dtype: str
    """Name of the torch dtype of the network's inner arithmetic; statistics are float32 always."""

    @property
    def name(self) -> str:
        """Part of every cache key: features of two engines differ in the third digit."""
        return f"{self.device.split(':')[0]}-{self.dtype}"

    @property
    def for_training(self) -> Engine:
        """The same device in the number format that trains fastest: float32 on a CPU, where the gradients of
        depthwise convolutions in bfloat16 take 1.6 times as long."""
        return Engine(self.device, "float32") if self.device == "cpu" else self

    def autocast(self) -> AbstractContextManager:
        """Return a context in which a float32 network computes in this engine's number format."""
        kind = self.device.split(":")[0]
        dtype = getattr(torch, self.dtype)
        return torch.autocast(kind, dtype=dtype, enabled=dtype is not torch.float32)


def choose_engine(device: str = "auto") -> Engine:
    """Return the engine for `device`; "auto" takes a GPU where there is one.

    bfloat16 on a CPU is chosen only where it has matrix units for it: there it is 1.3 to 1.8 times as fast as
    float32, with AVX-512 instructions alone it was measured as equal, elsewhere it is emulated and slow.

    Whoever asks is about to compute, so glibc's malloc is tuned here, once a process; importing changes nothing.

    Raises:
        OptionError: the device is not on this machine.
    """
    tune_malloc()
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    kind = device.split(":")[0]
    if kind == "cuda":
        if not torch.cuda.is_available():
            raise OptionError(f"--device {device}: torch sees no CUDA device here; use --device cpu or auto")
        index = int(device.partition(":")[2] or 0)
        if index >= torch.cuda.device_count():
            raise OptionError(f"--device {device}: there are {torch.cuda.device_count()} CUDA devices, counted from 0")
        return Engine(device, "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise OptionError("--device mps: torch sees no Apple GPU here; use --device cpu or auto")
    if kind == "cpu" and _has_fast_bfloat16():
        return Engine(device, "bfloat16")
    return Engine(device, "float32")


def _has_fast_bfloat16() -> bool:
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("amx_bf16") or capabilities.get("amx_tile"))

"""A CUDA device that is pretended: shapes, dtypes and devices are torch's, values are not computed.

Tensors of the host are real and so is what is done with them; those of the device are torch's fakes, which refuse to
meet a tensor of the host as CUDA does. What reads one of their values is written down, and gets ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._pytree import tree_leaves, tree_map_only

from automl_tl.backbones.stages import Network
from automl_tl.features.engine import Engine
from automl_tl.learning.tunable import copy_network

ENGINE = Engine("cuda:1", "bfloat16")
"""Not the first device, which tensors are on by mistake."""
COPY, LOOK, UNPINNED, CHECK = "copy to the host", "look at a value", "copy from unpinned memory", "check of a solution"
"""What the host waits for."""
MEMORY = 2**33
"""Bytes of the device, all of them free."""
_aten = torch.ops.aten
_READS = (
    _aten._local_scalar_dense.default,
    _aten.equal.default,
    _aten.allclose.default,
    _aten.is_nonzero.default,
)


class PretendedCuda(FakeTensorMode):
    """Within it "cuda" is a device; `waits` are the operations for which the host waits until the device is done."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        is_device = any(isinstance(one, FakeTensor) for one in given)
        target = torch.device(kwargs.get("device") or "cpu").type
        if func in (_aten.pin_memory.default, _aten._pin_memory.default):
            return args[0]
        if torch.is_inference_mode_enabled() and func.namespace == "aten":  # whole functions arrive, such as Tensor.to
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        if not is_device and target != "cuda":
            return func(*args, **kwargs)
        if func is _aten._linalg_check_errors.default:
            return self.waits.append(CHECK)
        if func in _READS:
            return self._read(LOOK, torch.ones(())).item()
        if func is _aten._to_copy.default and is_device and "device" in kwargs and target == "cpu":
            return self._read(COPY, torch.ones(args[0].shape, dtype=kwargs.get("dtype") or args[0].dtype))
        if func is _aten._to_copy.default and not is_device and not kwargs.get("non_blocking"):
            self.waits.append(UNPINNED)
        args, kwargs = tree_map_only(Tensor, self._as_fake, (args, kwargs))
        return super().__torch_dispatch__(func, types, args, kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> PretendedCuda:
        """Let a copied network stay on the same device."""
        return self

    def _as_fake(self, tensor: Tensor) -> Tensor:
        return tensor if isinstance(tensor, FakeTensor) else self.from_tensor(tensor.detach())

    def _read(self, what: str, value: Tensor) -> Tensor:
        self.waits.append(what)
        return value


@contextmanager
def pretended_cuda() -> Iterator[PretendedCuda]:
    """Yield the mode. What torch asks the driver for is left out: the state of its random numbers, and its streams,
    without which there is no backward pass; gradients are zeros.
    """
    driver = {
        "get_rng_state": lambda device: None,
        "set_rng_state": lambda state, device: None,
        "mem_get_info": lambda device: (MEMORY, MEMORY),
        "memory_reserved": lambda device: 0,
        "memory_allocated": lambda device: 0,
    }
    with (
        mock.patch.multiple("torch.cuda", **driver),
        mock.patch("torch.autograd.backward", _zero_gradients),
        mock.patch.object(nn.Module, "to", _to),
        PretendedCuda() as mode,
    ):
        yield mode


def moved(network: Network, device: str = ENGINE.device) -> Network:
    """Return a copy of a network on the pretended device; within `pretended_cuda` alone."""
    there = copy_network(network)
    nn.ModuleList([there.module, *there.stages]).to(device)
    return there


def _to(module: nn.Module, device: torch.device | str, **format: Any) -> nn.Module:
    """Move a module as `Module.to` does, which refuses to put fake tensors in the place of real ones."""
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None:
                there = parameter.detach().to(device, non_blocking=True)
                part._parameters[name] = nn.Parameter(there, requires_grad=parameter.requires_grad)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = buffer.to(device, non_blocking=True)
    return module


def _zero_gradients(loss: Tensor) -> None:
    """Give every leaf below a loss a gradient where it is."""
    seen, waiting = set(), [loss.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        if leaf is not None:
            leaf.grad = torch.zeros_like(leaf)
        waiting += [following for following, _ in node.next_functions]

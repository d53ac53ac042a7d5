"""Training shared out among processes: each takes a part of every batch, and their gradients are added up.

Every process holds the same network and takes the same steps. A batch, the rates and the number of steps are those of
one process, so what comes out is the same up to rounding, whatever the number of processes (data parallel, synchronous:
Li et al. 2020, "PyTorch Distributed"). What a variant does to a picture is drawn for all pictures at once, so that it
does not depend on how a batch is shared. Dropout, mixup and cutmix draw other numbers in every process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, distributed, nn


class Sharing(Protocol):
    """This process among those that train the same network."""

    rank: int
    """0 is the first one, whose clock and files count."""
    size: int
    """Number of processes."""

    def begin(self, module: nn.Module) -> None:
        """Let parameters and buffers be the first process's."""

    def part(self, rows: np.ndarray) -> np.ndarray:
        """Return this process's part, int (k,), of a batch, int (m,); it may be empty."""

    def add_up(self, parameters: Sequence[nn.Parameter], loss: Tensor) -> Tensor:
        """Let gradients be their sums over all processes, in place; return the sum of a single number (), float64."""

    def clock(self, spent: Callable[[], float]) -> Callable[[], float]:
        """Return the share of the time that is spent as all processes know it."""

    def gather(self, own: Tensor) -> Tensor:
        """Return the tensors of all processes, of one shape, stacked by rank, on the CPU."""


class Alone:
    """One process, which does everything."""

    rank, size = 0, 1

    def begin(self, module: nn.Module) -> None:
        """Do nothing; see `Sharing`."""

    def part(self, rows: np.ndarray) -> np.ndarray:
        """Return all of a batch."""
        return rows

    def add_up(self, parameters: Sequence[nn.Parameter], loss: Tensor) -> Tensor:
        """Return the number as it is."""
        return loss

    def clock(self, spent: Callable[[], float]) -> Callable[[], float]:
        """Return it as it is."""
        return spent

    def gather(self, own: Tensor) -> Tensor:
        """Return the one tensor."""
        return own.cpu()[None]


class Group:
    """The processes of torch.distributed's default group.

    What is exchanged goes through one sum per step. Where a process is lost, a ConnectionError is raised in the others.

    Args:
        device: that the backend of the group exchanges tensors of.
    """

    def __init__(self, device: str) -> None:
        self.rank, self.size = distributed.get_rank(), distributed.get_world_size()
        self._device = torch.device(device)
        self._agreed, self._spent = 0.0, _no_time

    def begin(self, module: nn.Module) -> None:
        """Send them; see `Sharing`."""
        for tensor in module.state_dict().values():
            sent = tensor.contiguous()
            with _connected():
                distributed.broadcast(sent, src=0)
            tensor.copy_(sent)

    def part(self, rows: np.ndarray) -> np.ndarray:
        """Return as many as the others have, or one more."""
        return np.array_split(rows, self.size)[self.rank]

    def add_up(self, parameters: Sequence[nn.Parameter], loss: Tensor) -> Tensor:
        """Add up; what has no gradient in any process has none afterwards. See `Sharing`."""
        own = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        known = [float(p.grad is not None) for p in parameters]
        spent = self._spent() if self.rank == 0 else 0.0
        numbers = torch.tensor([*known, spent], device=self._device)
        flat = torch.cat([*(gradient.flatten() for gradient in own), numbers, loss.float().view(1)])
        with _connected():
            distributed.all_reduce(flat)
        *summed, numbers, total_loss = torch.split(flat, [*(p.numel() for p in parameters), len(numbers), 1])
        *known, self._agreed = numbers.tolist()
        for parameter, gradient, total, n in zip(parameters, own, summed, known, strict=True):
            parameter.grad = gradient.copy_(total.view_as(gradient)) if n else None
        return total_loss[0].double()

    def clock(self, spent: Callable[[], float]) -> Callable[[], float]:
        """Return what the first process's clock said at the last step, or now for the first one."""
        self._spent = spent
        self._agreed = float(self.gather(torch.tensor(spent()))[0])
        return lambda: self._agreed

    def gather(self, own: Tensor) -> Tensor:
        """Return them; see `Sharing`."""
        mine = own.to(self._device)
        parts = [torch.empty_like(mine) for _ in range(self.size)]
        with _connected():
            distributed.all_gather(parts, mine)
        return torch.stack(parts).cpu()


def find_sharing(device: str) -> Sharing:
    """Return the group that this process belongs to, or `Alone`.

    Args:
        device: that is trained on.
    """
    return Group(device) if distributed.is_available() and distributed.is_initialized() else Alone()


def _no_time() -> float:
    return 0.0


@contextmanager
def _connected() -> Iterator[None]:
    """Raise ConnectionError for whatever torch.distributed raises."""
    try:
        yield
    except RuntimeError as error:
        raise ConnectionError("another process that trains the same network was lost") from error

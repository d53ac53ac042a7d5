"""Training that Ray's processes share for tests: they import it by its name."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import distributed
from trainable import STRONG, coloured, make_cache, tiny_network, zero_head

from automl_tl.learning.callbacks import Callback, Progress
from automl_tl.learning.checkpoint import Checkpoint
from automl_tl.learning.finetune import Targets, finetune
from automl_tl.learning.recipe import Recipe
from automl_tl.learning.sharing import find_sharing
from automl_tl.learning.state import State
from automl_tl.learning.tunable import Tunable, copy_network
from automl_tl.monitor import Epoch

EPOCHS = 5


class Dying(Callback):
    """Kills the second process after an epoch; once, as a file tells the next attempt.

    Another file says after how many epochs each attempt began.
    """

    def __init__(self, after: int, folder: Path) -> None:
        self.after, self.mark, self.folder = after, folder / "died", folder

    def on_state(self, state: State) -> None:
        with open(self.folder / "begun", "a") as file:
            file.write(f"{len(state.history)}\n" if state.sharing.rank == 0 else "")

    def on_epoch_end(self, epoch: Epoch) -> Epoch:
        if epoch.number == self.after and find_sharing("cpu").rank == 1 and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return epoch


def learned(folder: Path, dies_after: int = 0, *, report: Callable[[Epoch], None] | None = None) -> np.ndarray:
    """Train a small network; return every parameter."""
    torch.set_num_threads(1)
    pixels, y = coloured(50)
    origin = tiny_network()
    cache = make_cache(origin, pixels, 1, folder, policy=STRONG)
    tunable = Tunable(copy_network(origin), zero_head(origin.channels[-1]), cache)
    recipe = Recipe(unfrozen=2, epochs=EPOCHS, head_lr=1e-2, lr_ratio=2.0, policy=STRONG)
    watching = [] if report is None else [Progress(report)]
    callbacks = [Checkpoint(folder / "state.safetensors"), Dying(dies_after, folder), *watching]
    finetune(tunable, Targets(y), np.arange(50), recipe, batch_size=8, callbacks=callbacks)
    state = [*tunable.network.module.state_dict().values(), *tunable.head.state_dict().values()]
    return torch.cat([value.flatten().float() for value in state]).numpy()


def where() -> tuple[int, int, str, int, str]:
    """Return rank, number of processes, folder, threads that each may have, and the interface that gloo uses."""
    place = os.getcwd(), torch.get_num_threads(), os.environ.get("GLOO_SOCKET_IFNAME", "any")
    return distributed.get_rank(), distributed.get_world_size(), *place


def timed(marks: Path, left: Callable[[], float]) -> None:
    """Note how much time is left, and die; once, as a file tells the next attempt. No process knows the time of day."""
    time.time = lambda: 0.0
    if distributed.get_rank() == 1:
        with open(marks / "left", "a") as file:
            file.write(f"{left()}\n")
        if not (marks / "died").exists():
            (marks / "died").touch()
            time.sleep(2)
            os.kill(os.getpid(), signal.SIGKILL)
    find_sharing("cpu").gather(torch.zeros(1))


def failing(marks: Path) -> None:
    """Raise in the second process, while the first one waits for it; there is a file for every time."""
    if distributed.get_rank() == 1:
        (marks / str(len(list(marks.iterdir())))).touch()
        raise FileNotFoundError("no such picture")
    find_sharing("cpu").gather(torch.zeros(1))


def late(marks: Path) -> int:
    """Look for the others after the second process has died, and Ray Train has taken the group down; once."""
    if not (marks / "died").exists():
        if distributed.get_rank() == 1:
            (marks / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        while distributed.is_initialized():
            time.sleep(0.001)
    return distributed.get_world_size()


def dying(marks: Path) -> None:
    """Die, every time; there is a file for every process that has begun, which tells its rank."""
    (marks / f"{distributed.get_rank()}-{os.getpid()}").touch()
    if distributed.get_rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    find_sharing("cpu").gather(torch.zeros(1))

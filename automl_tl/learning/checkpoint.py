"""How far a training run has come, on the disk: from there it goes on, whatever has ended it.

A checkpoint may come from elsewhere, with the run folder that it lies in, so what is read is checked; one that is
damaged, or of something else, counts as none, which is said.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load
from torch import Tensor, nn

from automl_tl.errors import sentence
from automl_tl.foreign import facts_of, fault, listed, read_bytes, whole_number
from automl_tl.learning.callbacks import Callback
from automl_tl.learning.retreat import Retreats
from automl_tl.learning.state import State
from automl_tl.monitor import Epoch
from automl_tl.output import whole
from automl_tl.tensor_file import write_tensors
from automl_tl.wording import clean

_LEARNED, _MOMENTS, _RANDOM, _START = "learned.", "moments.", "random.", "start."
_MOMENT_NAMES = {"step", "exp_avg", "exp_avg_sq"}
_BESIDE = 64 * 1024**2
"""Bytes of a file at most beside what is learned, its start and averages: facts, and all processes' random states."""


class Checkpoint(Callback):
    """Keeps the state of a run in a file after every epoch, whole or not at all, and goes on from it where it is there.

    Of several processes the first one writes. A file that cannot be written is no reason to end a run.

    Args:
        file: of this run and of no other one: the same pictures, configuration and seed.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def on_state(self, state: State) -> None:
        """Put back what the file holds.

        Raises:
            ConnectionError: another process has read something else.
        """
        self.state = state
        _put_back(self.file, state)
        self.kept = len(state.history)
        everywhere = state.sharing.gather(torch.tensor([state.schedule.done, self.kept])).tolist()
        if any(other != everywhere[0] for other in everywhere):
            raise ConnectionError(f"processes have read different states of '{self.file.name}'")

    def on_epoch_end(self, epoch: Epoch) -> Epoch:
        """Write."""
        if epoch.number > self.kept:
            facts, tensors = _facts(self.state, epoch), dict(_tensors(self.state))
            if self.state.sharing.rank == 0:
                _write(self.file, facts, tensors)
        return epoch


def _facts(state: State, epoch: Epoch) -> dict[str, Any]:
    history = [asdict(one) for one in (*state.history, epoch)]
    scaler = state.scaler.state_dict()
    return {"done": state.schedule.done, "retreats": asdict(state.retreat.so_far), "history": history, "scaler": scaler}


def _tensors(state: State) -> Iterator[tuple[str, Tensor]]:
    """Yield (name, tensor) of everything but the facts; all processes must ask at once."""
    for name, value in state.learned.state_dict().items():
        yield _LEARNED + name, value
    for number, moments in state.optimizer.state_dict()["state"].items():
        for name, value in moments.items():
            yield f"{_MOMENTS}{number}.{name}", value
    if state.retreat.has_moved:
        for name, value in state.retreat.start.items():
            yield _START + name, value
    for name, value in state.random.items():
        yield _RANDOM + name, state.sharing.gather(value)


def _write(file: Path, facts: dict[str, Any], tensors: Mapping[str, Tensor]) -> None:
    own = {name: value.detach().cpu().clone(memory_format=torch.contiguous_format) for name, value in tensors.items()}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole(file) as new:
            write_tensors(new, own, {"facts": json.dumps(facts)})
    except (OSError, SafetensorError) as error:
        logging.getLogger(__name__).warning("%s cannot be written: %s", file.name, sentence(error))


def _put_back(file: Path, state: State) -> None:
    """Let a state be the one in a file; where there is none, or it does not fit, it stays as it is."""
    try:
        content = read_bytes(file, _most_bytes(state.learned))
        with safe_open(file, "pt") as opened:
            facts = facts_of(opened.metadata())
        tensors = load(content)
        done = whole_number(facts["done"], 0, state.schedule.steps)
        retreats = Retreats.from_dict(facts["retreats"])
        history = [Epoch.from_dict(values) for values in listed(facts["history"])]
        whole_number(len(history), 0, done + 1)  # the clock may end an epoch before its first step
        learned = _like(_under(_LEARNED, tensors), state.learned.state_dict())
        start = _under(_START, tensors)
        start = _like(start, state.learned.state_dict()) if start else {}
        moments = _moments(_under(_MOMENTS, tensors), state.optimizer)
        random = _random(_under(_RANDOM, tensors), state)
        scaler = {name: facts["scaler"][name] for name in state.scaler.state_dict()}
    except FileNotFoundError:
        return
    except (OSError, SafetensorError, AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        what = "%s is damaged, or of another training run, which begins anew: %s"
        logging.getLogger(__name__).warning(what, file.name, clean(fault(error)))
        return
    state.learned.load_state_dict(learned)
    state.optimizer.load_state_dict({**state.optimizer.state_dict(), "state": moments})
    state.scaler.load_state_dict(scaler)
    if random:
        torch.set_rng_state(random["cpu"])
        state.generator.set_state(random["mixing"])
        if "cuda" in random:
            torch.cuda.set_rng_state(random["cuda"], state.device)
    if start:
        state.retreat.begin_with(start)
    state.schedule.done, state.retreat.so_far = done, retreats
    state.history[:] = history


def _most_bytes(learned: nn.Module) -> int:
    """Return the bytes that a checkpoint has at most: what is learned, AdamW's two averages of it, and its start."""
    return 4 * sum(int(value.nbytes) for value in learned.state_dict().values()) + _BESIDE


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _like(found: dict[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what was found; raise ValueError where names, shapes or types are others."""
    if _forms(found) != _forms(own):
        raise ValueError("of another network")
    return found


def _forms(tensors: Mapping[str, Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (value.shape, value.dtype) for name, value in tensors.items()}


def _moments(found: Mapping[str, Tensor], optimizer: torch.optim.AdamW) -> dict[int, dict[str, Tensor]]:
    """Return AdamW's moments by parameter; raise ValueError where they are not those of its parameters."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in found.items():
        number, _, moment = name.partition(".")
        moments.setdefault(int(number), {})[moment] = value
    for position, some in moments.items():
        own = parameters[whole_number(position, 0, len(parameters) - 1)]
        averages = [value for name, value in some.items() if name != "step"]
        if some.keys() != _MOMENT_NAMES or any(value.shape != own.shape for value in averages):
            raise ValueError("of another optimiser")
        for name, value in some.items():  # a fused step walks through a kernel and its averages side by side
            some[name] = value.reshape(()) if name == "step" else torch.empty_like(own, device="cpu").copy_(value)
    return moments


def _random(found: Mapping[str, Tensor], state: State) -> dict[str, Tensor]:
    """Return this process's generators; nothing where there were more or fewer processes."""
    own = state.random
    rows = {name: found[name] for name in own}
    if any(len(one) != state.sharing.size for one in rows.values()):
        return {}
    mine = _like({name: one[state.sharing.rank].clone() for name, one in rows.items()}, own)  # torch wants it aligned
    torch.Generator().set_state(mine["cpu"])  # RuntimeError where it is no state
    torch.Generator().set_state(mine["mixing"])
    return mine

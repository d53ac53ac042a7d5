"""What changes while something is trained."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from automl_tl.learning.retreat import Retreat
from automl_tl.learning.schedule import Schedule
from automl_tl.learning.sharing import Sharing
from automl_tl.monitor import Epoch


@dataclass(frozen=True, eq=False)
class State:
    """Everything of a training run that the next epoch depends on, its pictures and recipe excepted."""

    learned: nn.Module
    """The head, and the stages that learn."""
    optimizer: torch.optim.AdamW
    scaler: torch.amp.GradScaler
    generator: torch.Generator
    """What mixup and cutmix draw from; dropout draws from torch's own."""
    sharing: Sharing
    schedule: Schedule
    history: list[Epoch]
    """The epochs that are done."""
    retreat: Retreat

    @property
    def random(self) -> dict[str, Tensor]:
        """The states of this process's generators, uint8 (k,)."""
        found = {"cpu": torch.get_rng_state(), "mixing": self.generator.get_state()}
        if self.device.type == "cuda":
            found["cuda"] = torch.cuda.get_rng_state(self.device)
        return found

    @property
    def device(self) -> torch.device:
        """Where it learns."""
        return next(self.learned.parameters()).device

"""A small backbone whose training hangs once, as soon as the run in the environment's RUN has kept a trial."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import torch
from tiny_backbone import TinyBackbone
from torch import nn


class HangingBackbone(TinyBackbone):
    """Says in the file `hung` beside the run that it hangs."""

    def build(self, *, pretrained: bool = True) -> nn.Module:
        module = super().build(pretrained=pretrained)
        for stage in self.stages(module):
            stage.register_forward_pre_hook(hang)
        return module


def hang(module: nn.Module, inputs: tuple[Any, ...]) -> None:
    run = Path(os.environ["RUN"])
    mark = run.parent / "hung"
    if torch.is_grad_enabled() and any(run.glob("trials/*.safetensors")) and not mark.exists():
        mark.touch()
        time.sleep(600)


hanging = HangingBackbone()

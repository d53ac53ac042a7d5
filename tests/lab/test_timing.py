"""What cannot be timed names its backbone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_backbone import TinyBackbone
from torch import nn

from automl_tl.backbones.stages import build_network
from automl_tl.errors import BackboneError
from automl_tl.features.engine import Engine
from automl_tl.lab import timing
from automl_tl.lab.timing import training_speed


class Detached(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled():
            raise NotImplementedError("inference only")
        return x


class InferenceOnly(TinyBackbone):
    def build(self, *, pretrained: bool = True) -> nn.Module:
        return super().build(pretrained=pretrained).append(Detached())  # type: ignore[operator]


@pytest.mark.parametrize(("takes", "runs"), [(0.1, 4), (0.7, 3), (5.0, 2)])
def test_what_takes_long_is_not_timed_again_and_again(monkeypatch: pytest.MonkeyPatch, takes: float, runs: int) -> None:
    clock = iter(np.arange(0.0, 1000.0, takes))
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock))
    done: list[int] = []
    assert timing._fastest(lambda: done.append(1), Engine("cpu", "float32")) == pytest.approx(takes)
    assert len(done) == runs


def test_a_backbone_that_cannot_be_trained_is_named(tmp_path: Path) -> None:
    network = build_network("tiny", InferenceOnly())
    sentence = "^tiny could not be trained for a step: it raised NotImplementedError: inference only$"
    with pytest.raises(BackboneError, match=sentence):
        training_speed(network, Engine("cpu", "float32"), 4, 2, tmp_path)
